"""The vocabulary as a product: checks, releases, changes and mapping tables."""
