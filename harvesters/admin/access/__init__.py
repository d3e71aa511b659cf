"""Access to the admin API and pages: bearer keys and sessions."""
