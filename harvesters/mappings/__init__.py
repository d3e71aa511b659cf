"""Mappings: one module for each metadata schema, all with the same function ``build_mapper``."""
