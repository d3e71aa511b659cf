"""Routes of the form, of the API and of the moderators' pages."""
