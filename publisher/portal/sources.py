"""The titles of the registries, as pages show them."""

from __future__ import annotations

from publisher.store.descriptions import prefer_english
from publisher.store.queries import query
from publisher.store.query_service import QueryService


async def source_titles(service: QueryService) -> dict[str, str]:
    """Return the registries' titles by their names."""
    titles = prefer_english(await service.rows(query("sources")), "source", "title")
    start = service.iris.source("")
    return {iri.removeprefix(start): title for iri, title in titles.items()}
