"""Tables: what the journal's records say, in columns, for facets, counts and trends (files that DuckDB and spreadsheets read)."""
