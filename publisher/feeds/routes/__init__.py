"""Routes of the feeds."""
