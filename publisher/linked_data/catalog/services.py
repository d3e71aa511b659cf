"""The standard APIs that a catalogue lists."""

from __future__ import annotations

from typing import NamedTuple

from starlette.applications import Starlette
from starlette.routing import Match


class Service(NamedTuple):
    """A service: *path* is its URL path, *described* that of its description, *standards* are those
    that it implements.
    """

    path: str
    title: str
    about: str
    description_path: str
    standards: tuple[str, ...]


SERVICES = (
    Service(
        "sparql",
        "SPARQL endpoint",
        "Queries by SPARQL 1.1 over all that is published, and over each release that is kept.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-protocol/", "https://www.w3.org/TR/sparql11-query/"),
    ),
    Service(
        "oai",
        "OAI-PMH repository",
        "All records, and what is gone, for harvesters by OAI-PMH 2.0.",
        "oai?verb=Identify",
        ("http://www.openarchives.org/OAI/openarchivesprotocol.html",),
    ),
    Service(
        "ldes",
        "Linked data event stream",
        "All changes of records, as versions, by Linked Data Event Streams.",
        "ldes",
        ("https://w3id.org/ldes/specification", "https://w3id.org/tree/specification"),
    ),
    Service(
        "feeds/all.atom",
        "Atom feed",
        "The newest changes of records as Atom, with archives back to the first, and feeds by action line, goal, country and registry.",
        "feeds/all.atom",
        ("https://www.rfc-editor.org/rfc/rfc4287", "https://www.rfc-editor.org/rfc/rfc5005"),
    ),
    Service(
        "activities",
        "Activities",
        "All changes of records as an ActivityStreams 2 collection.",
        "activities",
        ("https://www.w3.org/TR/activitystreams-core/",),
    ),
    Service(
        "feeds/events.ics",
        "Calendar",
        "All events as iCalendar, to subscribe to.",
        "feeds/events.ics",
        ("https://www.rfc-editor.org/rfc/rfc5545",),
    ),
    Service(
        "things.json",
        "JSON API",
        "Things, lists, searches and what changes as plain JSON, described by OpenAPI.",
        "openapi.json",
        ("https://spec.openapis.org/oas/v3.1.0",),
    ),
    Service(
        "journal/",
        "Journal",
        "All changes, as hash-chained RDF Patches, from which every state is made again.",
        "journal/head",
        ("https://afs.github.io/rdf-delta/rdf-patch.html",),
    ),
    Service(
        "rdf-graph-store",
        "Graph store",
        "Each record's graph, by the SPARQL 1.1 Graph Store HTTP Protocol, for reading.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-http-rdf-update/",),
    ),
    Service(
        "api/3/action/package_search",
        "CKAN Action API",
        "These data sets, as a CKAN portal would list them.",
        "api/3/action/package_list",
        ("https://docs.ckan.org/en/latest/api/",),
    ),
)


def available_services(app: Starlette) -> tuple[Service, ...]:
    """Return the services that *app* has routes for."""
    return tuple(service for service in SERVICES if _is_served(app, f"/{service.path}"))


def _is_served(app: Starlette, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)
