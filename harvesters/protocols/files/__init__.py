"""Folders of files, on web servers and code hosts."""
