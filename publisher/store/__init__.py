"""The RDF store: loading, snapshots, and the query service."""
