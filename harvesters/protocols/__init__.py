"""Protocols: how registries speak; one module each, all with the same ``collect``."""
