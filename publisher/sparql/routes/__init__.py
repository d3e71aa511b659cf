"""Routes of the SPARQL endpoint."""
