"""Find records of one initiative, organization or document in several registries by blocking, an
explained score, and people's decisions.
"""
