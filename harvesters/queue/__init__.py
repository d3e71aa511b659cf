"""The queue: runs that wait in the ledger's database, and the workers on any machine that take them up."""
