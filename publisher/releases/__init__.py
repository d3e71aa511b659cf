"""Releases: numbered states of all that is published, kept as files, so that they can be mirrored, cited and asked again."""
