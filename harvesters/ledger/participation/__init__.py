"""Stored contributions of people: submissions, prizes, notifications, followers and reported
problems.
"""
