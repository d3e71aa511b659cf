"""The desk's API: what a program may ask, by bearer key."""
