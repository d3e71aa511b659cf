"""Scratch: SPARQL 1.1 Update for operators, on stores of their own (https://www.w3.org/TR/sparql11-protocol/#update-operation)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import FederationRefused, LoadRefused
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.sparql.protocol import (
    QUERY,
    UPDATE,
    Parameters,
    graph_parameters,
    parse_request,
    parse_timeout,
    read_body,
    read_parameters,
    single_value,
)
from publisher.sparql.responses import media_type
from publisher.sparql.streaming import cancel_on_disconnect, send_answer
from publisher.store.query_service import QueryService
from publisher.store.update_sandbox import QUADS, Sandbox, Sandboxes
from publisher.store.workers.service_detection import has_load, uses_service
from publisher.store.workers.update import Update, using

MAX_UPDATE_BYTES = 4 << 20  # bytes of an update: it may bring data


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of ``/scratch``; all need what the front door permits."""
    routes = APIRouter()
    held = service.sandboxes

    async def make(request: Request) -> Response:
        await _admit(request)
        made = await held.make()
        return Response(_told(made), HTTPStatus.CREATED, {"Location": f"/scratch/{made.name}"}, "application/json")

    async def one_store(request: Request) -> Response:
        found = await _found(request, held)
        if request.method == "DELETE":
            await held.remove(found.name)
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return Response(_told(found), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def sparql(request: Request) -> Response:
        found = await _found(request, held)
        given = read_parameters(request, await read_body(request, MAX_UPDATE_BYTES), (QUERY, UPDATE))
        if "update" in given:
            return await _write(request, found, given, service)
        asked = parse_request(given, request.headers.get("accept"), service.iris.base, service.limits.rows)
        answer = await cancel_on_disconnect(request, found.ask(asked.question, asked.seconds))
        told = {"Content-Type": media_type(answer.suffix), "Vary": "Accept", "Cache-Control": "no-store"}
        return await send_answer(answer, told, service.disk_quota)

    routes.add_route("/scratch", make, methods=["POST"])
    routes.add_route("/scratch/{name}", one_store, methods=["GET", "HEAD", "DELETE"])
    routes.add_route("/scratch/{name}/sparql", sparql, methods=["GET", "HEAD", "POST"])
    return routes


async def _admit(request: Request) -> None:
    if await run_in_threadpool(request.app.state.permit, request):
        return
    if "authorization" in request.headers:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "A scratch store needs a key with the scope operate; this is none")
    headers = {"WWW-Authenticate": 'Bearer realm="stocktake"'}
    raise HTTPProblem(HTTPStatus.UNAUTHORIZED, "A scratch store needs a key: send it as `Authorization: Bearer KEY`", headers)


async def _found(request: Request, held: Sandboxes) -> Sandbox:
    await _admit(request)
    if found := await held.find(request.path_params["name"]):
        return found
    raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such scratch store, or it was older than an hour; POST /scratch makes one")


def _told(store: Sandbox) -> str:
    until = datetime.fromtimestamp(store.ends, UTC).isoformat(timespec="seconds")
    return json.dumps({"endpoint": f"/scratch/{store.name}/sparql", "until": until, "quads": store.quads, "most": QUADS})


async def _write(request: Request, store: Sandbox, given: Parameters, service: QueryService) -> Response:
    text = single_value(given, "update") or ""
    if request.method != "POST" or "query" in given:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "An update is put by POST, and without a query beside it")
    if uses_service(text):
        raise FederationRefused("SERVICE is refused here")
    if has_load(text):
        raise LoadRefused("LOAD is refused here; put the data into the update itself, with INSERT DATA")
    default, named = graph_parameters(given, "using-graph-uri") or (), graph_parameters(given, "using-named-graph-uri") or ()
    update = Update(using(text, default, named), service.iris.base, QUADS)
    await cancel_on_disconnect(request, store.write(update, parse_timeout(single_value(given, "timeout"))))
    return Response(status_code=HTTPStatus.NO_CONTENT)
