"""Status: how every source fares and how far the store is, as a page, as JSON, and as the status graph itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from journal import mirror_origin
from journal.mirror_origin import Origin
from publisher.formats import GRAPHS, Format, GraphFormat
from publisher.http.negotiation import best_match, wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.rdf.results import iri
from publisher.store.descriptions import describe_graph, serialize_description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import DataVersion, SourceStatus, clock, count_by_state, data_version, source_statuses

_JSON = Format("json", "JSON", "application/json")
_FORMATS: dict[str, Format] = {"json": _JSON, **GRAPHS}
_FRESH = {"Vary": "Accept", "Cache-Control": "no-store"}  # it turns with the clock, so no copy stays true


class QuadTotals(NamedTuple):
    """Whether the store holds as many quads as the account of its newest run says; None where no account says."""

    held: int
    told: int | None

    @property
    def agrees(self) -> bool | None:
        """Tell whether both are the same."""
        return None if self.told is None else self.held == self.told


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of ``/status``."""
    routes = APIRouter()

    async def status(request: Request) -> Response:
        row = _wanted(request)
        if isinstance(row, GraphFormat):
            told = await describe_graph(service, service.iris.status)
            return Response(serialize_description(told, row), headers={"Content-Type": row.media, **_FRESH})
        at, found, shown, quads = clock(), await source_statuses(service), data_version(service), await _quad_totals(service)
        of = mirror_origin.read(service.journal.folder)
        if row is not None:
            return JSONResponse(_json(service, at, found, shown, quads, of), headers=_FRESH)
        sources = [(it, it.state(at).value) for it in found.values()]
        counts, formats = count_by_state(found, at), _FORMATS.values()
        response = pages.page(
            "status.html", origin=of, at=at, sources=sources, counts=counts, lag=service.lag, quads=quads, formats=formats
        )
        response.headers.update(_FRESH)
        return response

    for path in ("/status", "/status.json"):
        routes.add_route(path, status, methods=["GET", "HEAD"])
    return routes


def _wanted(request: Request) -> Format | None:
    """Choose the format, None for the page; the path's suffix counts more than ``format=``, and that more than Accept."""
    accept, suffix = request.headers.get("accept"), request.query_params.get("format")
    if request.url.path.endswith(".json"):
        return _JSON
    if suffix is None and wants_html(accept, _FORMATS.values()):
        return None
    row = _FORMATS.get(suffix) if suffix else best_match(accept, _FORMATS.values())
    if row is None:
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "The status is given as " + ", ".join(row.media for row in _FORMATS.values()))
    return row


async def _quad_totals(service: QueryService) -> QuadTotals:
    shown = data_version(service)
    rows = await service.rows(query("quads-told"), {"run": iri(service.iris.run(shown.run))}) if shown and shown.run else []
    return QuadTotals(service.current.quads, int(rows[0]["quads"].value) if rows else None)


def _json(
    service: QueryService, at: datetime, found: dict[str, SourceStatus], shown: DataVersion | None, quads: QuadTotals, of: Origin | None
) -> dict[str, object]:
    store = {
        **(asdict(shown) if shown else {"position": 0, "time": None, "run": None}),
        "lag": service.lag,
        "quads": quads.held,
        "quads_by_account": quads.told,
        "agrees": quads.agrees,
    }
    sources = [_source(it, at) for it in found.values()]
    counts = {state.value: count for state, count in count_by_state(found, at).items()}
    mirror = asdict(of) if of else None
    return {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "mirror": mirror, "store": store, "states": counts, "sources": sources}


def _source(it: SourceStatus, at: datetime) -> dict[str, object]:
    told = it.told
    return {
        "source": it.name,
        "iri": it.iri,
        "title": it.title,
        "state": it.state(at).value,
        "last_attempt": told.get("lastAttempt"),
        "last_success": told.get("lastSuccess"),
        "consecutive_failures": it.marks.failures,
        "next_due": told.get("nextDue"),
        "late_from": told.get("lateFrom"),
        "frozen_from": told.get("frozenFrom"),
        "last_sweep": it.last_full_harvest,
        "last_change": told.get("lastChange"),
        "published": int(told.get("publishedRecords", "0")),
        "vanished": int(told.get("missingRecords", "0")),
        "withheld": it.withheld,
        "last_run": it.run("lastRun"),
        "last_outcome": told.get("lastOutcome"),
        "last_reason": told.get("lastReason"),
        "held_plan": it.run("heldPlan"),
        "hold": told.get("hold"),
    }
