"""Tables of what the publisher knows about its data."""
