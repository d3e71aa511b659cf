"""Comments of readers on posts, which moderators accept before they are shown; off by default.

They are in the ledger and never in the journal, so that they can be deleted.
"""
