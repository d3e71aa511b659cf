"""Outlets: where readers come; one module each, all with a ``router``."""
