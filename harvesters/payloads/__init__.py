"""Parse the payloads that protocols yield and mappings read: expressions, graphs, texts."""
