"""Runs: from records to a plan, a commit and a closed account, and when that is done."""
