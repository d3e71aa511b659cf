"""HTTP: content negotiation, conditional requests, caching and headers of every response."""
