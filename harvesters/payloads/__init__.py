"""Payloads: what protocols bring and mappings read: paths, graphs, texts."""
