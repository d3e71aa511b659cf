"""The validation engines, which all return the same results."""
