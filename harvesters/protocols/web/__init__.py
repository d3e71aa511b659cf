"""Web pages with embedded RDF, by sitemaps."""
