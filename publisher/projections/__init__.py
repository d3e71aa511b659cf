"""Projections of the journal, and what they share: decoded entries, and time slices."""
