"""RDF documents in any syntax."""
