"""Topics that nobody states in a field: goals, targets and action lines that a record's texts name
or are about.
"""
