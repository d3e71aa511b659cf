"""The routes of the reconciliation service."""
