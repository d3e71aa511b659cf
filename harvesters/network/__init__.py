"""Network: the one door to registries, and how each answer is judged."""
