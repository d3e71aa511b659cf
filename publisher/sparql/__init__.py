"""SPARQL: what a request asks by the protocol, how it is answered, and what is too large to wait for."""
