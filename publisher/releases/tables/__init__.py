"""The tables of a release, their description and their codebook."""
