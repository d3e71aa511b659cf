"""Query workers: the processes that evaluate queries, and their scheduling."""
