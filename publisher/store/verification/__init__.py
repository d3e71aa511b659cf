"""Compare the store with the journal, and repair it."""
