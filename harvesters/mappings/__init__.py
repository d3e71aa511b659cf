"""Mappings: from a registry's schema to the one model; one module each, all with the same ``read``."""
