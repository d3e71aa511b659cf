"""Contests for prizes: editions, nominations, reviews of experts, votes and results.

They are published as records of the source ``prizes``, by the plan, guard and journal of a harvest.
"""
