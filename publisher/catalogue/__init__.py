"""Catalogue: what can be had here as a whole, told to portals in their own words: DCAT-AP, CKAN, data.json."""
