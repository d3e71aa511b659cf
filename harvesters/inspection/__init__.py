"""Check a feed before it is published, report faults that a registry can fix, and trace each
statement of a record.
"""
