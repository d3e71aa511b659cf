"""Routes of the admin pages, a module for each group of pages."""
