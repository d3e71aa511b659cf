"""The operators' desk: what commands the harvesters, behind keys, as an API and as pages."""
