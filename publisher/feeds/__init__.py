"""Feeds: what Atom, ActivityStreams, iCalendar, sitemaps and OAI-PMH tell of a record, and how its sets are called."""
