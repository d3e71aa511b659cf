"""Atom, ActivityStreams, iCalendar, sitemaps, OAI-PMH and LDES feeds of records."""
