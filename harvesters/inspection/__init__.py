"""Inspection: check a feed before it is published, report what a registry can fix, and trace each
statement of a record.
"""
