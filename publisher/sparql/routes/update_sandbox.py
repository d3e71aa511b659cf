"""``/scratch``: SPARQL 1.1 Update for operators, on temporary stores
(https://www.w3.org/TR/sparql11-protocol/#update-operation).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.errors import FederationRefused, LoadRefused
from publisher.http.endpoints import Count, Instant, get, problems
from publisher.http.pages.dependencies import ServiceDep
from publisher.http.problems import HTTPProblem
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
from publisher.store.update_sandbox import MAX_QUADS, Sandbox
from publisher.store.workers.service_detection import has_load, uses_service
from publisher.store.workers.update import Update, using

MAX_UPDATE_BYTES = 4 << 20  # an update may contain data


class SandboxJson(TypedDict):
    """A temporary store: the path of its endpoint, the time of its deletion, and its quads, *most*
    at most.
    """

    endpoint: str
    until: Instant
    quads: Count
    most: Count


StoreName = Annotated[str, Path(description="The name of the temporary store")]

router = APIRouter()
_JSON: dict[str, Any] = {"tags": ["ask"], "response_model": SandboxJson}


async def require_operator(request: Request) -> None:
    """Raise HTTPProblem (401 or 403) unless the request is an operator's."""
    if await run_in_threadpool(request.app.state.permit, request):
        return
    if "authorization" in request.headers:
        raise HTTPProblem(
            HTTPStatus.FORBIDDEN,
            "Scratch stores require a key with the scope operate; this key has not",
        )
    headers = {"WWW-Authenticate": 'Bearer realm="stocktake"'}
    raise HTTPProblem(
        HTTPStatus.UNAUTHORIZED,
        "Scratch stores require a key: send it as `Authorization: Bearer KEY`",
        headers,
    )


Operator = Depends(require_operator)


async def find_sandbox(service: ServiceDep, name: StoreName) -> Sandbox:
    """Return the temporary store of the path; raises HTTPProblem (404)."""
    if sandbox := await service.sandboxes.find(name):
        return sandbox
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        "Scratch store not found. Stores are deleted after an hour; POST /scratch creates one",
    )


FoundSandbox = Annotated[Sandbox, Depends(find_sandbox)]


@router.post(
    "/scratch",
    operation_id="makeScratch",
    summary="Create a temporary store for SPARQL updates",
    dependencies=[Operator],
    status_code=HTTPStatus.CREATED,
    response_description="The store",
    responses=problems(401, 403, 429, 503),
    **_JSON,
)
async def make(service: ServiceDep) -> Response:
    """It is empty at first, and is deleted after an hour."""
    created = await service.sandboxes.create()
    return Response(
        _describe(created),
        HTTPStatus.CREATED,
        {"Location": f"/scratch/{created.name}"},
        "application/json",
    )


@get(
    router,
    "/scratch/{name}",
    operation_id="scratch",
    summary="Describe a temporary store",
    dependencies=[Operator],
    response_description="The store",
    responses=problems(401, 403, 404),
    **_JSON,
)
async def show(sandbox: FoundSandbox) -> Response:
    """Its endpoint is an address of its own."""
    return Response(
        _describe(sandbox), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.delete(
    "/scratch/{name}",
    operation_id="dropScratch",
    summary="Delete a temporary store",
    tags=["ask"],
    dependencies=[Operator],
    status_code=HTTPStatus.NO_CONTENT,
    response_description="The store is deleted",
    responses=problems(401, 403, 404),
)
async def remove(service: ServiceDep, sandbox: FoundSandbox) -> Response:
    """The published data are not affected."""
    await service.sandboxes.remove(sandbox.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/scratch/{name}/sparql", dependencies=[Operator], include_in_schema=False)
@get(router, "/scratch/{name}/sparql", dependencies=[Operator], include_in_schema=False)
async def sparql(request: Request, service: ServiceDep, sandbox: FoundSandbox) -> Response:
    """Answer a query or apply an update, by the SPARQL 1.1 Protocol."""
    params = read_parameters(request, await read_body(request, MAX_UPDATE_BYTES), (QUERY, UPDATE))
    if "update" in params:
        return await _write(request, sandbox, params, service)
    parsed = parse_request(
        params, request.headers.get("accept"), service.iris.base, service.limits.rows
    )
    answer = await cancel_on_disconnect(request, sandbox.ask(parsed.query_request, parsed.seconds))
    headers = {
        "Content-Type": media_type(answer.suffix),
        "Vary": "Accept",
        "Cache-Control": "no-store",
    }
    return await send_answer(answer, headers, service.disk_quota)


def _describe(store: Sandbox) -> str:
    until = datetime.fromtimestamp(store.expires_at, UTC).isoformat(timespec="seconds")
    description: SandboxJson = {
        "endpoint": f"/scratch/{store.name}/sparql",
        "until": until,
        "quads": store.quads,
        "most": MAX_QUADS,
    }
    return json.dumps(description)


async def _write(
    request: Request, store: Sandbox, params: Parameters, service: QueryService
) -> Response:
    text = single_value(params, "update") or ""
    if request.method != "POST" or "query" in params:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Send an update by POST, and without a query")
    if uses_service(text):
        raise FederationRefused("SERVICE is not supported")
    if has_load(text):
        raise LoadRefused(
            "LOAD is not supported; send the data in the update itself, with INSERT DATA"
        )
    default = graph_parameters(params, "using-graph-uri") or ()
    named = graph_parameters(params, "using-named-graph-uri") or ()
    update = Update(using(text, default, named), service.iris.base, MAX_QUADS)
    await cancel_on_disconnect(
        request, store.write(update, parse_timeout(single_value(params, "timeout")))
    )
    return Response(status_code=HTTPStatus.NO_CONTENT)
