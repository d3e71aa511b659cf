"""What changed, for others to follow: Atom with WebSub, ActivityStreams, iCalendar, sitemaps,
OAI-PMH and LDES.
"""
