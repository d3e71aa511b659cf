"""Releases that can be queried: their manifests and their stores."""
