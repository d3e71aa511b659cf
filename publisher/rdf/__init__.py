"""RDF terms, SPARQL results, N-Triples and gzip files."""
