"""LDES: the log of changes as a Linked Data Event Stream (https://w3id.org/ldes/specification)."""
