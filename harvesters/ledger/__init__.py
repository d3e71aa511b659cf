"""The ledger: what each run did to each record, and each record's last description."""
