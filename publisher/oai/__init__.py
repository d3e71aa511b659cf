"""OAI-PMH: the protocol by which repositories harvest each other (https://www.openarchives.org/OAI/openarchivesprotocol.html)."""
