"""Notify people and programs: alerts by rules, delivered by mail and signed webhook."""
