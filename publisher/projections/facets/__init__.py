"""Columns and bitmaps for counts, lists and facets."""
