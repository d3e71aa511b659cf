"""Contests for prizes: editions, nominations, reviews of experts, votes and results."""
