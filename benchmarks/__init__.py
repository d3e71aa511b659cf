"""Compare the cost of this program with that of its peers, measured side by side in one run."""
