"""Registries: their titles, as pages name them."""

from __future__ import annotations

from publisher.store.descriptions import english
from publisher.store.queries import query
from publisher.store.query_service import Shelf


async def source_titles(shelf: Shelf) -> dict[str, str]:
    """Give the registries' titles by their names."""
    found = english(await shelf.rows(query("sources")), "source", "title")
    start = shelf.iris.source("")
    return {iri.removeprefix(start): title for iri, title in found.items()}
