"""The admin API, which requires a bearer key."""
