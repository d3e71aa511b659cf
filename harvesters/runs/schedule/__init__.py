"""When runs and background work are due, and the service that starts them."""
