"""Measure the cost of this program beside that of its peers, in the same run."""
