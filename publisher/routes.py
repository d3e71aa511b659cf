"""All routers of the publisher, in matching order."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from publisher.catalog.routes import ckan_api, dumps, journal, openapi, void
from publisher.feeds.routes import activities, feeds, ldes, oai, robots
from publisher.linked_data.routes import health, linksets, lists, mementos, records, runs, status
from publisher.pages.templating import Pages
from publisher.portal.routes import (
    about,
    catalog,
    columns,
    compare,
    concepts,
    data,
    documents,
    events,
    gaps,
    home,
    logo,
    map,
    matrix,
    prizes,
    releases,
    reports,
    search,
    shapes,
    source_wizard,
    sources,
    suggest,
    things,
    topics,
    trends,
    vocabulary,
)
from publisher.sparql.routes import endpoint, examples, exports, graph_store, update_sandbox
from publisher.store.query_service import QueryService

Router = Callable[[QueryService, Pages], APIRouter]

ROUTERS: dict[str, APIRouter | Router] = {
    "home": home.router,
    "logo": logo.router,
    "about": about.router,
    "topics": topics.router,
    "columns": columns.router,
    "compare": compare.router,
    "atlas": map.router,
    "trends": trends.router,
    "gaps": gaps.router,
    "figures": data.router,
    "events": events.router,
    "library": documents.router,
    "prizes": prizes.router,
    "join": source_wizard.router,
    "matrix": matrix.router,
    "search": search.router,
    "suggest": suggest.router,
    "sparql": endpoint.router,
    "examples": examples.router,
    "graphs": graph_store.router,
    "scratch": update_sandbox.router,
    "things": things.router,
    "linksets": linksets.router,
    "records": records.router,
    "mementos": mementos.router,
    "sources": sources.router,
    "runs": runs.router,
    "concepts": concepts.router,
    "vocabulary": vocabulary.router,
    "shapes": shapes.router,
    "lists": lists.router,
    "releases": releases.router,
    "reports": reports.router,
    "dumps": dumps.router,
    "exports": exports.router,
    "journal": journal.router,
    "catalog": catalog.router,
    "portals": ckan_api.router,
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


def build_router(name: str, service: QueryService, pages: Pages) -> APIRouter:
    """Return the router *name* over *service*."""
    router = ROUTERS[name]
    return router if isinstance(router, APIRouter) else router(service, pages)
