"""The ledger: the database of runs, of each record's state, and of each record's last description."""
