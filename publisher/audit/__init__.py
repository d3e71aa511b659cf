"""Audit: is a shelf what the journal says, graph by graph; and what differs is mended."""
