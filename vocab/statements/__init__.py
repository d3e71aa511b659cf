"""The statements about records, runs, sources and clusters, in N-Triples; no other package writes
triples.
"""
