"""What can be downloaded or queried: datasets and services by DCAT-AP, CKAN, data.json and VoID,
the journal, and the JSON API.
"""
