"""The right wing, OUT: the journal becomes a shelf, and the shelf answers readers."""
