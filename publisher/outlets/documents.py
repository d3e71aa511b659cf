"""Documents: ``/record``, ``/source``, ``/run``, ``/ns``, ``/matrix`` and ``/scheme`` at their own addresses, as a page or as RDF."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from publisher.accounts import account, as_json
from publisher.addresses import segments
from publisher.formats import GRAPHS
from publisher.negotiation import best, wants_html
from publisher.pages import Pages
from publisher.paging import after, titled
from publisher.problems import Refused
from publisher.queries import query
from publisher.resources import Description, of_graph, of_thing, replaced, write
from publisher.shelf import Shelf
from publisher.standings import Standing, clock, confirmed, standings
from publisher.terms import Row, iri
from vocab.iris import is_web

Show = Callable[[Description, Request], Awaitable[Response]]


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of the documents."""
    routes = APIRouter()
    base = shelf.iris.base

    async def record(request: Request) -> Response:
        source, key = _exactly(segments(request), 2)
        told = await of_graph(shelf, f"{base}record/{source}/{key}")
        status = told.one("adms:status")
        gone = status is not None and status.value == f"{shelf.iris.ns}gone"
        return await _answer(request, told, _gone if gone else _resource, HTTPStatus.GONE if gone else HTTPStatus.OK)

    async def source(request: Request) -> Response:
        (name,) = _exactly(segments(request), 1)
        return await _answer(request, await of_graph(shelf, f"{base}source/{name}"), _source)

    async def run(request: Request) -> Response:
        (name,) = _exactly(segments(request), 1)
        told = await of_run(shelf, f"{base}run/{name}")
        if told.statements and request.query_params.get("format") == "json":
            return JSONResponse(as_json(told))
        return await _answer(request, told, _run)

    async def whole(request: Request) -> Response:
        return await _answer(request, await of_graph(shelf, base + request.url.path.strip("/")), _resource)

    async def part(request: Request) -> Response:
        """Answer for a link or a version of the matrix, or for a basis or state of the ontology."""
        return await _answer(request, await of_thing(shelf, f"{base}matrix/" + "/".join(segments(request))), _resource)

    async def scheme(request: Request) -> Response:
        parts = segments(request)
        if len(parts) == 1:
            return await _answer(request, await of_graph(shelf, f"{base}scheme/{parts[0]}"), _scheme)
        name, code = _exactly(parts, 2)
        return await _answer(request, await of_thing(shelf, f"{base}scheme/{name}/{code}"), _concept)

    async def concept(request: Request) -> Response:
        """Answer for a concept that others minted: the United Nations' goals, targets and areas."""
        named = request.query_params.get("iri", "")
        if not is_web(named):
            raise Refused(HTTPStatus.NOT_FOUND, "The parameter iri names a concept by its web address")
        return await _answer(request, await of_thing(shelf, named), _concept)

    async def _resource(told: Description, request: Request) -> Response:
        known = confirmed(await _standing(request), told, told.iri)
        return pages.page("resource.html", it=told, graphs=GRAPHS.values(), confirmed=known)

    async def _gone(told: Description, request: Request) -> Response:
        return pages.page("gone.html", it=told, record=told.iri, heirs=await replaced(shelf, told.iri), graphs=GRAPHS.values())

    async def _run(told: Description, request: Request) -> Response:
        return pages.page("run.html", it=told, account=account(told), graphs=GRAPHS.values())

    async def _standing(request: Request) -> Standing | None:
        """Tell how the source fares whose record is asked for; None where the address is no record's."""
        kind, _, rest = request.url.path.strip("/").partition("/")
        return (await standings(shelf)).get(rest.partition("/")[0]) if kind == "record" else None

    async def _source(told: Description, request: Request) -> Response:
        about = (await standings(shelf)).get(told.iri.removeprefix(f"{base}source/"))
        state = about.state(clock()).value if about else None
        rows = await shelf.rows(query("source-things"), {"source": iri(told.iri), "after": iri(after(request, shelf))})
        known, things = about.met if about else None, titled(rows, "record")
        return pages.page("source.html", it=told, standing=about, state=state, confirmed=known, things=things, graphs=GRAPHS.values())

    async def _scheme(told: Description, request: Request) -> Response:
        bound = {"scheme": iri(told.iri)}
        concepts, counts = await shelf.rows(query("scheme-concepts"), bound), await shelf.rows(query("scheme-counts"), bound)
        things = {row["concept"].value: int(row["things"].value) for row in counts}
        return pages.page("scheme.html", it=told, concepts=_nested(concepts), things=things, graphs=GRAPHS.values())

    async def _concept(told: Description, request: Request) -> Response:
        bound = {"concept": iri(told.iri)}
        rows = await shelf.rows(query("concept-things"), {**bound, "after": iri(after(request, shelf))})
        matrix = await shelf.rows(query("matrix"), bound)
        return pages.page("concept.html", it=told, things=titled(rows, "thing"), matrix=matrix, graphs=GRAPHS.values())

    async def _answer(request: Request, told: Description, show: Show, status: HTTPStatus = HTTPStatus.OK) -> Response:
        if not told.statements:
            raise Refused(HTTPStatus.NOT_FOUND, f"Nothing is known of {told.iri}")
        suffix, accept = request.query_params.get("format"), request.headers.get("accept")
        if suffix is None and wants_html(accept, GRAPHS.values()):
            response = await show(told, request)
            response.status_code = status
            return response
        row = GRAPHS.get(suffix) if suffix else best(accept, GRAPHS.values())
        if row is None:
            raise Refused(HTTPStatus.NOT_ACCEPTABLE, "Data is given as " + ", ".join(row.media for row in GRAPHS.values()))
        return Response(write(told, row), status, {"Content-Type": row.media, "Vary": "Accept"})

    for path, endpoint in (
        ("/record/{rest:path}", record),
        ("/source/{rest:path}", source),
        ("/run/{rest:path}", run),
        ("/ns", whole),
        ("/matrix", whole),
        ("/matrix/{rest:path}", part),
        ("/scheme/{rest:path}", scheme),
        ("/concept", concept),
    ):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


async def of_run(shelf: Shelf, run: str) -> Description:
    """Describe a run: from its own graph, or from the status graph where it wrote no journal entry."""
    told = await of_graph(shelf, run)
    if told.statements:
        return told
    status = await of_graph(shelf, shelf.iris.status, run)
    return replace(status, statements=tuple(it for it in status.statements if it.subject == run or it.subject.startswith(f"{run}#")))


def _exactly(parts: list[str], number: int) -> list[str]:
    if len(parts) != number or not all(parts):
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such address")
    return parts


def _nested(rows: list[Row]) -> list[tuple[int, Row]]:
    """Give the concepts in the order of their notations, each below its broader one, with its depth."""
    known = {row["concept"].value for row in rows}
    below: dict[str | None, list[Row]] = {}
    for row in sorted(rows, key=_place):
        parent = row["broader"].value if "broader" in row and row["broader"].value in known else None
        below.setdefault(parent, []).append(row)
    out: list[tuple[int, Row]] = []
    waiting = [(0, row) for row in reversed(below.get(None, []))]
    seen: set[str] = set()
    while waiting:
        depth, row = waiting.pop()
        if row["concept"].value not in seen:
            seen.add(row["concept"].value)
            out.append((depth, row))
            waiting += [(depth + 1, child) for child in reversed(below.get(row["concept"].value, []))]
    return out


def _place(row: Row) -> tuple[list[tuple[int, str]], str]:
    """Order 4 before 10, and 4.2 before 4.a."""
    notation = row["notation"].value if "notation" in row else ""
    parts = "".join(char if char.isdigit() else f" {char} " for char in notation).split()
    return [(int(part), "") if part.isdigit() else (1 << 30, part) for part in parts], row["name"].value
