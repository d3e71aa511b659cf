"""What all projections of the journal share: decoded entries, and time slices."""
