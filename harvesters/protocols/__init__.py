"""Protocols: one module or package for each interface, all with the same function ``collect``."""
