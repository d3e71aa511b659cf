"""``/scratch``: SPARQL 1.1 Update for operators, on temporary stores (https://www.w3.org/TR/sparql11-protocol/#update-operation)."""

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

MAX_UPDATE_BYTES = 4 << 20  # an update may contain data


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/scratch``; all require an operator."""
    routes = APIRouter()
    sandboxes = service.sandboxes

    async def make(request: Request) -> Response:
        await _admit(request)
        created = await sandboxes.make()
        return Response(_describe(created), HTTPStatus.CREATED, {"Location": f"/scratch/{created.name}"}, "application/json")

    async def one_store(request: Request) -> Response:
        sandbox = await _find_sandbox(request, sandboxes)
        if request.method == "DELETE":
            await sandboxes.remove(sandbox.name)
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return Response(_describe(sandbox), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def sparql(request: Request) -> Response:
        sandbox = await _find_sandbox(request, sandboxes)
        params = read_parameters(request, await read_body(request, MAX_UPDATE_BYTES), (QUERY, UPDATE))
        if "update" in params:
            return await _write(request, sandbox, params, service)
        parsed = parse_request(params, request.headers.get("accept"), service.iris.base, service.limits.rows)
        answer = await cancel_on_disconnect(request, sandbox.ask(parsed.question, parsed.seconds))
        headers = {"Content-Type": media_type(answer.suffix), "Vary": "Accept", "Cache-Control": "no-store"}
        return await send_answer(answer, headers, service.disk_quota)

    routes.add_route("/scratch", make, methods=["POST"])
    routes.add_route("/scratch/{name}", one_store, methods=["GET", "HEAD", "DELETE"])
    routes.add_route("/scratch/{name}/sparql", sparql, methods=["GET", "HEAD", "POST"])
    return routes


async def _admit(request: Request) -> None:
    if await run_in_threadpool(request.app.state.permit, request):
        return
    if "authorization" in request.headers:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "Scratch stores require a key with the scope operate; this key has not")
    headers = {"WWW-Authenticate": 'Bearer realm="stocktake"'}
    raise HTTPProblem(HTTPStatus.UNAUTHORIZED, "Scratch stores require a key: send it as `Authorization: Bearer KEY`", headers)


async def _find_sandbox(request: Request, sandboxes: Sandboxes) -> Sandbox:
    await _admit(request)
    if sandbox := await sandboxes.find(request.path_params["name"]):
        return sandbox
    raise HTTPProblem(HTTPStatus.NOT_FOUND, "Scratch store not found. Stores are deleted after an hour; POST /scratch creates one")


def _describe(store: Sandbox) -> str:
    until = datetime.fromtimestamp(store.ends, UTC).isoformat(timespec="seconds")
    return json.dumps({"endpoint": f"/scratch/{store.name}/sparql", "until": until, "quads": store.quads, "most": QUADS})


async def _write(request: Request, store: Sandbox, params: Parameters, service: QueryService) -> Response:
    text = single_value(params, "update") or ""
    if request.method != "POST" or "query" in params:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Send an update by POST, and without a query")
    if uses_service(text):
        raise FederationRefused("SERVICE is not supported")
    if has_load(text):
        raise LoadRefused("LOAD is not supported; send the data in the update itself, with INSERT DATA")
    default, named = graph_parameters(params, "using-graph-uri") or (), graph_parameters(params, "using-named-graph-uri") or ()
    update = Update(using(text, default, named), service.iris.base, QUADS)
    await cancel_on_disconnect(request, store.write(update, parse_timeout(single_value(params, "timeout"))))
    return Response(status_code=HTTPStatus.NO_CONTENT)
