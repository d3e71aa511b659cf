"""The admin API and pages, which operate the harvesters and require a key."""
