"""Counts and lists of things by facet, from the tables beside the columns."""
