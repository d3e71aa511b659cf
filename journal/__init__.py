"""The hall: the ordered log of changes, the only thing that the wings share."""
