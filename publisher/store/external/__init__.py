"""An external store, reached by its SPARQL endpoint."""
