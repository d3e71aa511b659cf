"""Descriptions of things by content negotiation, with links between them."""
