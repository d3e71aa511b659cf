"""Who may do what: keys, sessions, limits of attempts and security headers."""
