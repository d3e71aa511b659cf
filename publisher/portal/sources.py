"""Registries: their titles, as pages name them."""

from __future__ import annotations

from publisher.pages.resources import english
from publisher.queries import query
from publisher.shelf.shelf import Shelf


async def titles(shelf: Shelf) -> dict[str, str]:
    """Give the registries' titles by their names."""
    found = english(await shelf.rows(query("sources")), "source", "title")
    start = shelf.iris.source("")
    return {iri.removeprefix(start): title for iri, title in found.items()}
