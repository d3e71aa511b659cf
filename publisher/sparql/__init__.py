"""SPARQL: protocol, responses, exports and example queries."""
