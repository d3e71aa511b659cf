"""Routes of the catalog and of the files that it lists."""
