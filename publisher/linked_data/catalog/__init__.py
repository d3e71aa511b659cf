"""The catalog of what can be downloaded or queried: DCAT-AP, CKAN, data.json."""
