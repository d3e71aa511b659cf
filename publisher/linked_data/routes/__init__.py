"""Routes of linked data."""
