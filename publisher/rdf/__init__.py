"""RDF terms, N-Triples, SPARQL tokens and other text formats."""
