"""The shelf: the store that answers, the process that writes it, and the readers that are asked."""
