"""Benchmarks: what the house costs next to its peers, measured side by side in one run."""
