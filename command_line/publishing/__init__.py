"""Commands that publish, query and check what is published."""
