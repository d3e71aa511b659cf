"""``/dumps/``: the files written by ``stocktake dump``; range requests are supported."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.releases.dump_index import NAME, list_dumps
from web.conditional import send_file
from web.endpoints import contents, get, problems
from web.problems import HTTPProblem

router = APIRouter()


@get(router, "/dumps/", include_in_schema=False)
async def listing(service: ServiceDep, pages: PagesDep) -> Response:
    """List the files."""
    return pages.page("dumps.html", files=list_dumps(service.data / "dumps"))


@get(
    router,
    "/dumps/{name}",
    operation_id="dump",
    summary="Return a dump of all data at a journal entry, or its checksum",
    tags=["have"],
    response_class=Response,
    response_description="The file",
    responses=contents("application/gzip", "text/plain") | problems(404),
)
async def file(
    request: Request,
    service: ServiceDep,
    name: Annotated[str, Path(description="The name of the file; `/dumps/` lists them")],
) -> Response:
    """Range requests are supported."""
    match, path = NAME.match(name), service.data / "dumps" / name
    if match is None or not path.is_file():
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no dump {name}")
    return await run_in_threadpool(
        send_file, request, path, "text/plain; charset=utf-8" if match[2] else "application/gzip"
    )
