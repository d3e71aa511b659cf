"""Loading, snapshots, and the query service."""
