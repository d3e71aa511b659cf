"""SPARQL endpoints."""
