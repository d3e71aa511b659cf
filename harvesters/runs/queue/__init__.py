"""Queue runs in the ledger's database, and execute them in workers on any machine."""
