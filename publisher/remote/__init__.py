"""Remote: a shelf that is a SPARQL 1.1 endpoint elsewhere; its follower writes there, its readers ask there."""
