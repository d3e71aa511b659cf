"""The table of outlets: a row for each way in which the world reads us."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from publisher.outlets import (
    activities,
    catalog,
    concepts,
    dumps,
    examples,
    exports,
    feeds,
    graphs,
    health,
    home,
    journal,
    ldes,
    linksets,
    lists,
    mementos,
    oai,
    openapi,
    portals,
    records,
    releases,
    robots,
    runs,
    scratch,
    search,
    sources,
    sparql,
    status,
    things,
    vocabulary,
    void,
)
from publisher.pages.pages import Pages
from publisher.shelf.shelf import Shelf

Router = Callable[[Shelf, Pages], APIRouter]

OUTLETS: dict[str, Router] = {
    "home": home.router,
    "search": search.router,
    "sparql": sparql.router,
    "examples": examples.router,
    "graphs": graphs.router,
    "scratch": scratch.router,
    "things": things.router,
    "linksets": linksets.router,
    "records": records.router,
    "mementos": mementos.router,
    "sources": sources.router,
    "runs": runs.router,
    "concepts": concepts.router,
    "vocabulary": vocabulary.router,
    "lists": lists.router,
    "releases": releases.router,
    "dumps": dumps.router,
    "exports": exports.router,
    "journal": journal.router,
    "catalog": catalog.router,
    "portals": portals.router,
    "ldes": ldes.router,
    "oai": oai.router,
    "feeds": feeds.router,
    "activities": activities.router,
    "robots": robots.router,
    "openapi": openapi.router,
    "void": void.router,
    "health": health.router,
    "status": status.router,
}
