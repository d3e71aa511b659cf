"""All routers of the publisher, in matching order."""

from __future__ import annotations

from fastapi import APIRouter

from publisher.apis import mcp_route, reconciliation
from publisher.catalog import journal, openapi, portals, void
from publisher.feeds import activities, atom, calendar, ldes, oai, robots
from publisher.linked_data import health, lists, mementos, metrics, signposting, status
from publisher.portal import (
    compare,
    embeds,
    entities,
    entity_statistics,
    figure_pages,
    follow,
    pages,
    problems,
    quality,
    releases,
    search,
    search_feed,
    source_report,
    suggestions,
    thing_lists,
    vocabulary,
    wizard,
)  # fmt: skip
from publisher.sparql import endpoint, examples, exports

ROUTERS: dict[str, APIRouter] = {
    "home": figure_pages.router,
    "about": pages.router,
    "compare": compare.router,
    "embeds": embeds.router,
    "figures": entity_statistics.router,
    "library": thing_lists.router,
    "join": wizard.router,
    "explain": pages.explain_router,
    "search": search.router,
    "search feeds": search_feed.router,
    "follow": follow.router,
    "suggest": suggestions.router,
    "reconcile": reconciliation.router,
    "sparql": endpoint.router,
    "examples": examples.router,
    "assistants": mcp_route.router,
    "graphs": endpoint.graphs,
    "linksets": signposting.router,
    "mementos": mementos.router,
    "source reports": source_report.router,
    "quality": quality.router,
    "problems": problems.router,
    "sources": figure_pages.registries_router,
    "vocabulary": vocabulary.router,
    "things": entities.router,
    "shapes": pages.shapes_router,
    "lists": lists.router,
    "releases": releases.router,
    "reports": releases.reports,
    "dumps": journal.dumps,
    "exports": exports.router,
    "journal": journal.router,
    "catalog": pages.catalog_router,
    "portals": portals.router,
    "ldes": ldes.router,
    "oai": oai.router,
    "calendar": calendar.router,
    "feeds": atom.router,
    "activities": activities.router,
    "robots": robots.router,
    "openapi": openapi.router,
    "void": void.router,
    "health": health.router,
    "metrics": metrics.router,
    "status": status.router,
}
