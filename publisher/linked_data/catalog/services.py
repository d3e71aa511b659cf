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
        "Query current data and each stored release with SPARQL 1.1.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-protocol/", "https://www.w3.org/TR/sparql11-query/"),
    ),
    Service(
        "oai",
        "OAI-PMH repository",
        "All records, including removed ones, for harvesters that use OAI-PMH 2.0.",
        "oai?verb=Identify",
        ("http://www.openarchives.org/OAI/openarchivesprotocol.html",),
    ),
    Service(
        "ldes",
        "Linked data event stream",
        "All changes of records as versions, in a linked data event stream.",
        "ldes",
        ("https://w3id.org/ldes/specification", "https://w3id.org/tree/specification"),
    ),
    Service(
        "feeds/all.atom",
        "Atom feed",
        "Latest updates of records as Atom, with archives of all earlier ones and feeds by action line, goal, country and registry.",
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
        "Subscribe to all events with a calendar application (iCalendar).",
        "feeds/events.ics",
        ("https://www.rfc-editor.org/rfc/rfc5545",),
    ),
    Service(
        "things.json",
        "JSON API",
        "Search, items, lists and changes as JSON, described by OpenAPI.",
        "openapi.json",
        ("https://spec.openapis.org/oas/v3.1.0",),
    ),
    Service(
        "journal/",
        "Journal",
        "Every change ever published, in order, as hash-chained RDF Patches.",
        "journal/head",
        ("https://afs.github.io/rdf-delta/rdf-patch.html",),
    ),
    Service(
        "rdf-graph-store",
        "Graph store",
        "Read the graph of each record with the SPARQL 1.1 Graph Store HTTP Protocol.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-http-rdf-update/",),
    ),
    Service(
        "api/3/action/package_search",
        "CKAN Action API",
        "The datasets of this catalogue as a CKAN portal lists them.",
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
