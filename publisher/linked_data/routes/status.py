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
from publisher.store.descriptions import of_graph, write
from publisher.store.queries import query
from publisher.store.query_service import Shelf
from publisher.store.source_status import Place, Standing, clock, place, standings, summary

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


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/status``."""
    routes = APIRouter()

    async def status(request: Request) -> Response:
        row = _wanted(request)
        if isinstance(row, GraphFormat):
            told = await of_graph(shelf, shelf.iris.status)
            return Response(write(told, row), headers={"Content-Type": row.media, **_FRESH})
        at, found, shown, quads = clock(), await standings(shelf), place(shelf), await _quad_totals(shelf)
        of = mirror_origin.read(shelf.journal.folder)
        if row is not None:
            return JSONResponse(_json(shelf, at, found, shown, quads, of), headers=_FRESH)
        sources = [(it, it.state(at).value) for it in found.values()]
        counts, formats = summary(found, at), _FORMATS.values()
        response = pages.page("status.html", origin=of, at=at, sources=sources, counts=counts, lag=shelf.lag, quads=quads, formats=formats)
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


async def _quad_totals(shelf: Shelf) -> QuadTotals:
    shown = place(shelf)
    rows = await shelf.rows(query("quads-told"), {"run": iri(shelf.iris.run(shown.run))}) if shown and shown.run else []
    return QuadTotals(shelf.current.quads, int(rows[0]["quads"].value) if rows else None)


def _json(
    shelf: Shelf, at: datetime, found: dict[str, Standing], shown: Place | None, quads: QuadTotals, of: Origin | None
) -> dict[str, object]:
    store = {
        **(asdict(shown) if shown else {"position": 0, "time": None, "run": None}),
        "lag": shelf.lag,
        "quads": quads.held,
        "quads_by_account": quads.told,
        "agrees": quads.agrees,
    }
    sources = [_source(it, at) for it in found.values()]
    counts = {state.value: count for state, count in summary(found, at).items()}
    mirror = asdict(of) if of else None
    return {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "mirror": mirror, "store": store, "states": counts, "sources": sources}


def _source(it: Standing, at: datetime) -> dict[str, object]:
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
        "last_sweep": it.met,
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
