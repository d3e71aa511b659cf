"""Harvest sources: compute a plan, check it, commit it, and report what happened; schedule the
runs.
"""
