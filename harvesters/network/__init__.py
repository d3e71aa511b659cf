"""Send requests to registries and check their responses."""
