"""Execute runs that are due, postponed or requested: in this process from the ledger's table, or in workers on any machine by
Procrastinate.
"""
