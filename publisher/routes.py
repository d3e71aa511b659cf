"""All routers of the publisher, in matching order."""

from __future__ import annotations

from fastapi import APIRouter

from publisher.apis.mcp import route as mcp
from publisher.apis.reconcile.routes import service as reconcile
from publisher.catalog import journal, openapi, portals, void
from publisher.feeds import activities, atom, calendar, ldes, oai, robots
from publisher.linked_data import health, lists, mementos, metrics, signposting, status
from publisher.portal import (
    compare,
    embeds,
    entities,
    events,
    figure_pages,
    follow,
    prizes,
    problems,
    releases,
    search,
    search_feed,
    vocabulary,
)  # fmt: skip
from publisher.portal.routes import (
    about,
    catalog,
    columns,
    data,
    documents,
    explain,
    quality,
    reports,
    shapes,
    source_reports,
    source_wizard,
    sources,
    validate,
)
from publisher.sparql import endpoint, examples, exports

ROUTERS: dict[str, APIRouter] = {
    "home": figure_pages.router,
    "about": about.router,
    "columns": columns.router,
    "compare": compare.router,
    "embeds": embeds.router,
    "figures": data.router,
    "events": events.router,
    "library": documents.router,
    "prizes": prizes.router,
    "join": source_wizard.router,
    "validate": validate.router,
    "explain": explain.router,
    "search": search.router,
    "search feeds": search_feed.router,
    "follow": follow.router,
    "suggest": search.suggestion_router,
    "reconcile": reconcile.router,
    "sparql": endpoint.router,
    "examples": examples.router,
    "assistants": mcp.router,
    "graphs": endpoint.graphs,
    "linksets": signposting.router,
    "mementos": mementos.router,
    "source reports": source_reports.router,
    "quality": quality.router,
    "problems": problems.router,
    "sources": sources.router,
    "vocabulary": vocabulary.router,
    "things": entities.router,
    "shapes": shapes.router,
    "lists": lists.router,
    "releases": releases.router,
    "reports": reports.router,
    "dumps": journal.dumps,
    "exports": exports.router,
    "journal": journal.router,
    "catalog": catalog.router,
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
