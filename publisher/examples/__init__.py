"""Examples: queries to begin with, and how they are tried."""
