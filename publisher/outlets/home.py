"""Home: what there is, how fresh it is, and where to go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.pages import Pages
from publisher.pages.terms import Row, Term, iri
from publisher.queries import query
from publisher.shelf.shelf import Shelf

NEWEST = 10  # records on the front page


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a chart: how many things bear a concept, by how the statement came to be."""

    concept: str
    notation: str
    name: str
    declared: int
    crosswalked: int

    @property
    def things(self) -> int:
        """Give both together."""
        return self.declared + self.crosswalked


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the front page."""
    routes = APIRouter()

    async def home(request: Request) -> Response:
        names = ("kinds", "sources", "source-counts", "lines", "goals", "schemes")
        kinds, sources, counts, lines, goals, schemes = await asyncio.gather(*(shelf.rows(query(name)) for name in names))
        return pages.page(
            "home.html",
            shown=shelf.current,
            kinds={row["kind"].value: int(row["things"].value) for row in kinds},
            sources=list({row["source"].value: row for row in sources}.values()),
            counts={row["source"].value: int(row["records"].value) for row in counts},
            lines=_bars(lines),
            goals=_bars(goals),
            schemes=schemes,
            newest=await _newest(shelf),
        )

    routes.add_route("/", home, methods=["GET", "HEAD"])
    return routes


def _bars(rows: list[Row]) -> list[Bar]:
    bars: dict[str, Bar] = {}
    for row in rows:
        concept, things = row["concept"].value, int(row["things"].value)
        old = bars.get(concept) or Bar(concept, row["notation"].value, row["name"].value, 0, 0)
        declared = row["basis"].value.endswith("declared")
        bars[concept] = Bar(concept, old.notation, old.name, old.declared + things * declared, old.crosswalked + things * (not declared))
    return sorted(bars.values(), key=_order)


def _order(bar: Bar) -> tuple[int, str]:
    digits = "".join(char for char in bar.notation.partition("-")[0] if char.isdigit())
    return int(digits or 0), bar.notation


async def _newest(shelf: Shelf) -> list[Row]:
    """Give some records of the last runs, one row each."""
    found: dict[str, Row] = {}
    for run in await shelf.rows(query("newest-runs")):
        for row in await shelf.rows(query("run-records"), {"run": iri(run["run"].value)}):
            known = found.get(row["record"].value)
            if known is None or _language(row) == "en":
                found[row["record"].value] = {**row, "source": run["source"], "ended": run["ended"]}
        if len(found) >= NEWEST:
            break
    return list(found.values())[:NEWEST]


def _language(row: Row) -> str | None:
    title: Term | None = row.get("title")
    return title.language if title else None
