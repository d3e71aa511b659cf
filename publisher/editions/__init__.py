"""Editions of a release that need no server: a folder of files, and a file for Kiwix."""
