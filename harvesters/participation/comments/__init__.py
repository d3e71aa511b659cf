"""Comments of readers on posts, which moderators accept before they are shown; off unless the
operators switch them on.
"""
