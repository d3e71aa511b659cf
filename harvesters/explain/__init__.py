"""Trace a published statement back: to the run, the request, the bytes and the field that gave it."""
