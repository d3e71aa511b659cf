"""The stocktaking report."""
