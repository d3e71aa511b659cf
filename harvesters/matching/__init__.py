"""Find records of one initiative or organization in several registries: blocking, an explained
score, and people's decisions.
"""
