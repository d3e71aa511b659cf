"""``/exports``: queue a query too large to wait for, and fetch its result as a file within a day.

The queue is a folder; each export is a subfolder whose state file is replaced atomically. One export
runs at a time, at low priority. If the server is killed, the running export begins again at the next
start. A result gets its name only when complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, cast

import structlog
from fastapi import APIRouter, Depends
from fastapi import Path as PathParameter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from journal.files import AlreadyLockedError, FileLock, replace_file
from languages.translations import TranslatableText
from publisher.errors import LimitError, PublisherError, StoreBusy, StoreError, TooManyQueries
from publisher.limits import Limits
from publisher.pages import PagesDep, ServiceDep
from publisher.sparql.endpoint import media_type, parse_request, read_body, read_parameters
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.pool import Answer, Worker
from publisher.store.workers.query_request import QueryRequest
from web.endpoints import contents, get, other_contents, problems
from web.middleware import client_key
from web.respond import GRAPHS, HTML, TABLES, require, respond, wants_html
from web.sessions import check_origin

log = structlog.get_logger(component="exporter")

RETENTION = timedelta(days=1)  # of results
MAX_QUEUED = 50  # of all clients
MAX_PER_CLIENT = 50  # within a day
MAX_STORED_RESULTS = 10  # multiples of the largest result: limit of all results together
MAX_ATTEMPTS = 3  # an export that crashes the server is not retried for ever
NICE = 19  # lowest priority
POLL_SECONDS = 5.0  # between two checks for expired results and for exports of other servers
PROGRESS_SECONDS = 1.0  # between progress updates
# 16 random bytes: whoever knows the id may read and delete
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_NO_STORE = {"Cache-Control": "no-store", "Vary": "Accept"}
_POLL_AGAIN = {"Retry-After": "2"}
_JSON = (TABLES["json"],)  # the default format
_FORM = {
    "type": "object",
    "required": ["query"],
    "properties": {
        "query": {"type": "string"},
        "format": {"type": "string", "enum": [*TABLES, *GRAPHS]},
    },
}
_BODY = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {"schema": _FORM},
        "application/sparql-query": {"schema": {"type": "string"}},
    },
}


# What is stored of an export: besides the members of ExportJson, *packed* is its QueryRequest, *client*
# the key of its client, *tries* how often it was begun, and *suffix* the result's format.
Export = dict[str, Any]
_PRIVATE = ("packed", "client", "tries", "suffix")


def is_open(export: Export) -> bool:
    return export["state"] in ("queued", "running")


class ExportQueue:
    """The exports in *folder*, and the one of them that runs; *now* returns the time."""

    def __init__(
        self, folder: Path, limits: Limits, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder, self._limits, self._now = folder, limits, now
        self._added = asyncio.Event()
        self._running: tuple[str, asyncio.Task[None]] | None = None

    def add(self, query_request: QueryRequest, client: str) -> Export:
        """Queue a query; raises TooManyQueries if *client* has too many exports, StoreBusy if the
        queue is full.
        """
        stored = self.all()
        own = [is_open(export) for export in stored if export["client"] == client]
        if self._limits.exports and sum(own) >= self._limits.exports:
            raise TooManyQueries(
                f"{sum(own)} exports of your address are queued or running; wait for one, or delete it"
            )
        if self._limits.exports and len(own) >= MAX_PER_CLIENT:
            raise TooManyQueries(
                f"{len(own)} exports of your address are stored; delete those that you have downloaded"
            )
        waiting, size = sum(map(is_open, stored)), sum(item.get("size", 0) for item in stored)
        if waiting >= MAX_QUEUED or size >= MAX_STORED_RESULTS * self._limits.export_size:
            raise StoreBusy(
                f"{waiting} exports are waiting and {len(stored) - waiting} are stored: the queue is full"
            )
        export: Export = {
            "id": secrets.token_urlsafe(16),
            "state": "queued",
            "query": query_request.text,
            "requested": self._timestamp(),
            "packed": query_request.pack().decode(),
            "client": client,
            "tries": 0,
        }
        (self.folder / export["id"]).mkdir(parents=True)
        self.save(export)
        self._added.set()
        return export

    def get(self, name: str) -> Export | None:
        """Return the export *name*, None if it does not exist or was deleted."""
        file = self.folder / name / "state.json"
        if not _ID.match(name) or not file.is_file():
            return None
        return cast(Export, json.loads(file.read_text()))

    def all(self) -> list[Export]:
        """Return all exports, the oldest first."""
        exports = (self.get(path.parent.name) for path in self.folder.glob("*/state.json"))
        return sorted(filter(None, exports), key=lambda item: (item["requested"], item["id"]))

    def ahead(self, export: Export) -> int:
        """Return the number of exports that run before this one."""
        open_exports = filter(is_open, self.all())
        return len(list(takewhile(lambda other: other["id"] != export["id"], open_exports)))

    def save(self, export: Export) -> None:
        """Write an export's state atomically, unless it was deleted meanwhile."""
        folder = self.folder / export["id"]
        if folder.is_dir():
            replace_file(folder / "state.json", json.dumps(export))

    def end(self, export: Export, **values: object) -> None:
        (self.folder / export["id"] / "part").unlink(missing_ok=True)
        expires = (self._now() + RETENTION).isoformat()
        self.save({**export, **values, "ended": self._timestamp(), "expires": expires})

    def delete(self, export: Export) -> None:
        """Delete *export* with its result; stop it if it is running."""
        shutil.rmtree(self.folder / export["id"], ignore_errors=True)
        if self._running and self._running[0] == export["id"]:
            self._running[1].cancel()

    def delete_expired(self) -> None:
        for export in self.all():
            if "expires" in export and datetime.fromisoformat(export["expires"]) <= self._now():
                self.delete(export)

    def next(self) -> Export | None:
        """Return the export to run. One that is stored as running was interrupted by the end of the
        server: it runs again, unless that has happened too often.
        """
        for export in filter(is_open, self.all()):
            if export["tries"] < MAX_ATTEMPTS:
                return export
            reason = f"the server stopped {MAX_ATTEMPTS} times while this export was running"
            self.end(export, state="failed", size=0, reason=reason)
        return None

    async def run(self, service: QueryService) -> None:
        """Run the exports on *service* until cancelled. If several servers share the folder, one of
        them runs them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(await _lock(self.folder)):
            while True:
                self._added.clear()
                self.delete_expired()
                if service.snapshot and (export := self.next()):
                    task = asyncio.create_task(self._execute(service, export))
                    self._running = export["id"], task
                    (failure,) = await asyncio.gather(task, return_exceptions=True)
                    if isinstance(failure, Exception):
                        raise failure
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._added.wait(), POLL_SECONDS)

    async def _execute(self, service: QueryService, export: Export) -> None:
        current = service.current
        running = {
            **export,
            "state": "running",
            "tries": export["tries"] + 1,
            "started": self._timestamp(),
            "position": current.position,
            "size": 0,
        }
        self.save(running)
        worker = await Worker.start(self._limits.export_memory)
        try:
            worker.lower_priority(NICE)
            query = QueryRequest.unpack(export["packed"].encode())
            query = await rewrite(service, replace(query, rows=self._limits.export_rows))
            with closing(Answer(worker, self._limits.export_seconds)) as answer:
                await answer.begin(current.path, query)
                await self._write_result(running, answer)
        # The folder is missing if another server deleted the export.
        except (PublisherError, FileNotFoundError) as error:
            log.warning("export failed", error=str(error))
            unavailable = "the store was unavailable; submit the export again"
            reason = unavailable if isinstance(error, StoreError) else str(error)
            self.end(running, state="failed", size=0, reason=reason)
        finally:
            await worker.stop()

    async def _write_result(self, export: Export, answer: Answer) -> None:
        """Write the result to a temporary file, and rename it when complete."""
        digest, size, last_saved = hashlib.sha256(), 0, 0.0
        part = self.folder / export["id"] / "part"
        with part.open("wb") as file:
            async for chunk in answer.chunks():
                size += file.write(chunk)
                digest.update(chunk)
                if size > self._limits.export_size:
                    raise LimitError(
                        f"the result is larger than {self._limits.export_size} bytes; narrow the query, or download a dump"
                    )
                if answer.seconds - last_saved > PROGRESS_SECONDS:
                    last_saved = answer.seconds
                    self.save({**export, "size": size, "suffix": answer.suffix})
            file.flush()
            os.fsync(file.fileno())
        part.replace(part.with_name("result"))
        self.end(
            export,
            state="done",
            size=size,
            sha256=digest.hexdigest(),
            suffix=answer.suffix,
            media=media_type(answer.suffix),
            result=f"/exports/{export['id']}/result",
            **({} if answer.rows is None else {"rows": answer.rows}),
        )

    def _timestamp(self) -> str:
        return self._now().isoformat(timespec="microseconds")


async def _lock(folder: Path) -> FileLock:
    while True:
        with suppress(AlreadyLockedError):
            return FileLock(folder / "lock", wait=False)
        await asyncio.sleep(POLL_SECONDS)


async def get_exports(request: Request) -> ExportQueue:
    return cast(ExportQueue, request.app.state.exports)


ExportsDep = Annotated[ExportQueue, Depends(get_exports)]


async def find_export(
    exports: ExportsDep,
    name: Annotated[str, PathParameter(min_length=1, description="The id of the export")],
) -> Export:
    """Return the export of the path; raises HTTPProblem (404)."""
    return require(
        exports.get(name),
        TranslatableText("Export not found. Exports are deleted a day after they end"),
    )


FoundExport = Annotated[Export, Depends(find_export)]


router = APIRouter()


@get(
    router,
    "/exports",
    operation_id="exports",
    summary="Return the length of the export queue and the limits of an export",
    tags=["ask"],
    response_description="The queue",
    responses=contents(json="QueueJson"),
)
async def queue(
    request: Request, service: ServiceDep, pages: PagesDep, exports: ExportsDep
) -> Response:
    """Exports run one at a time."""
    if wants_html(request.headers.get("accept"), _JSON):
        page = pages.page(
            "exports.html", limits=service.limits, tables=TABLES.values(), graphs=GRAPHS.values()
        )
        return respond(request, page, HTML, headers={"Vary": "Accept"})
    limits = {
        name: getattr(service.limits, f"export_{name}")
        for name in ("seconds", "memory", "rows", "size")
    }
    waiting = sum(map(is_open, exports.all()))
    return JSONResponse({"waiting": waiting, "limits": limits}, headers=_NO_STORE)


@router.post(
    "/exports",
    operation_id="export",
    summary="Queue a query whose result is too large to wait for",
    tags=["ask"],
    status_code=HTTPStatus.ACCEPTED,
    response_description="The export is queued",
    responses={
        202: contents(json="ExportJson")[200],
        **problems(400, 403, 406, 413, 415, 429, 503),
    },
    openapi_extra={"requestBody": _BODY},
)
async def submit(request: Request, service: ServiceDep, exports: ExportsDep) -> Response:
    """Location is the address of the export."""
    check_origin(request)
    params = read_parameters(request, await read_body(request))
    accept = request.headers.get("accept")
    page = wants_html(accept, _JSON)
    query = parse_request(params, None if page else accept, service.iris.base, None)
    await service.check(query)
    export = exports.add(query, client_key(request.scope))
    location = f"/exports/{export['id']}"
    if page:
        return RedirectResponse(location, HTTPStatus.SEE_OTHER)
    headers = {"Location": location, **_POLL_AGAIN, **_NO_STORE}
    return JSONResponse(_describe(export, exports), HTTPStatus.ACCEPTED, headers)


@get(
    router,
    "/exports/{name}",
    operation_id="exportState",
    summary="Return the state of an export",
    tags=["ask"],
    response_description="The export",
    responses=contents(json="ExportJson") | problems(404),
)
async def state(
    request: Request, pages: PagesDep, exports: ExportsDep, export: FoundExport
) -> Response:
    """Retry-After says when to ask again."""
    described = _describe(export, exports)
    headers = _NO_STORE | (_POLL_AGAIN if is_open(export) else {})
    if not wants_html(request.headers.get("accept"), _JSON):
        return JSONResponse(described, headers=headers)
    page = pages.page("export.html", export={**export, **described}, is_open=is_open(export))
    page.headers.update(headers)
    return page


@router.delete(
    "/exports/{name}",
    operation_id="dropExport",
    summary="Delete an export",
    tags=["ask"],
    status_code=HTTPStatus.NO_CONTENT,
    response_description="The export is deleted",
    responses=problems(404),
)
async def delete(exports: ExportsDep, export: FoundExport) -> Response:
    """A running export is stopped."""
    exports.delete(export)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    "/exports/{name}/delete", include_in_schema=False, dependencies=[Depends(check_origin)]
)
async def delete_from_page(exports: ExportsDep, export: FoundExport) -> Response:
    exports.delete(export)
    return RedirectResponse("/exports", HTTPStatus.SEE_OTHER)


@get(
    router,
    "/exports/{name}/result",
    operation_id="exportResult",
    summary="Return the result of an export",
    tags=["ask"],
    response_class=Response,
    response_description="The result, in the format that the query asked for",
    responses=other_contents((*TABLES.values(), *GRAPHS.values())) | problems(404, 409),
)
async def result(request: Request, exports: ExportsDep, export: FoundExport) -> Response:
    """Range requests are supported."""
    require(
        export["state"] == "done",
        TranslatableText("The export is {state} and has no result", state=export["state"]),
        HTTPStatus.CONFLICT,
        _POLL_AGAIN if is_open(export) else {},
    )
    name = f"export-{export['id'][:8]}.{export['suffix']}"
    headers = {
        "Cache-Control": "private, no-cache",
        "ETag": f'"{export["sha256"]}"',
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    path = exports.folder / export["id"] / "result"
    return respond(request, path, str(export["media"]), headers=headers)


def _describe(export: Export, exports: ExportQueue) -> Export:
    ahead = {"ahead": exports.ahead(export)} if export["state"] == "queued" else {}
    return {name: value for name, value in {**export, **ahead}.items() if name not in _PRIVATE}
