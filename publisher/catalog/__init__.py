"""What can be downloaded or queried here: DCAT-AP, CKAN, data.json."""
