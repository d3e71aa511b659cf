"""``/dumps/``: the files written by ``stocktake dump``; range requests are supported."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.entity_tags import send_file
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.releases.dump_index import NAME, list_dumps
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/dumps/``."""
    routes = APIRouter()
    folder = service.data / "dumps"

    async def listing(request: Request) -> Response:
        return pages.page("dumps.html", files=list_dumps(folder))

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        match = NAME.match(name)
        if match is None or not (folder / name).is_file():
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no dump {name}")
        return await run_in_threadpool(send_file, request, folder / name, "text/plain; charset=utf-8" if match[2] else "application/gzip")

    routes.add_route("/dumps/", listing, methods=["GET", "HEAD"])
    routes.add_route("/dumps/{name}", file, methods=["GET", "HEAD"])
    return routes
