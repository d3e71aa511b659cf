"""The table of outlets: a row for each way in which the world reads us."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from publisher.outlets import documents, dumps, examples, exports, graphs, health, home, journal, scratch, search, sparql, status, things, void
from publisher.pages import Pages
from publisher.shelf import Shelf

Router = Callable[[Shelf, Pages], APIRouter]

OUTLETS: dict[str, Router] = {
    "home": home.router,
    "search": search.router,
    "sparql": sparql.router,
    "examples": examples.router,
    "graphs": graphs.router,
    "scratch": scratch.router,
    "things": things.router,
    "documents": documents.router,
    "dumps": dumps.router,
    "exports": exports.router,
    "journal": journal.router,
    "void": void.router,
    "health": health.router,
    "status": status.router,
}
