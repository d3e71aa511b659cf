"""ResourceSync 1.1."""
