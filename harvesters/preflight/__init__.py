"""Check a feed before it is published: what would be understood, what is wrong, and what a harvest would change. Nothing is written."""
