"""Start runs and background work when they are due."""
