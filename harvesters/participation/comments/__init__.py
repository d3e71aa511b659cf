"""Comments of readers on posts, which moderators accept before they are shown; off by default."""
