"""The right wing, OUT: the journal becomes a store, and the store answers readers."""
