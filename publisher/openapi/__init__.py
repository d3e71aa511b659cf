"""Described: what is told of our JSON to programs, as OpenAPI (https://spec.openapis.org/oas/v3.1.0)."""
