"""Linked Data Event Streams and TREE collections."""
