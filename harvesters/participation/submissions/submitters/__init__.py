"""Who submits: confirmed mail addresses, sign-in with OpenID Connect, organizations and transfers."""
