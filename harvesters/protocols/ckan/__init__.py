"""CKAN portals by their Action API."""
