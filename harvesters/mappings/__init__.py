"""Mappings: one module for each metadata schema."""
