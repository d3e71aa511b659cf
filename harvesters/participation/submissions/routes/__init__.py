"""Routes of the form and of the API."""
