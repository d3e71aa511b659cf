"""Commands that harvest and curate, a module for each noun."""
