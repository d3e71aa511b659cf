"""Dictionary-encoded quads in DuckDB, from which counts over joins are answered."""
