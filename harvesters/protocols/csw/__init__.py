"""Catalogue Service for the Web (CSW) 2.0.2."""
