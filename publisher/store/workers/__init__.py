"""The processes that evaluate queries, and their scheduling."""
