"""SHACL shapes, and validation by them."""
