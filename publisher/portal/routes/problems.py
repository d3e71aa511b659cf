"""The pages `/problem` and `/problem/{number}`: report a problem with a record or a page, and see
what became of it.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep
from publisher.pages import Pages
from publisher.portal.problems import (
    CATEGORIES,
    MOST_CHARACTERS,
    ProblemStore,
    PublicProblem,
    annotation,
    problem_iri,
)
from publisher.portal.sample import read_form
from publisher.portal.source_preview import PreviewRunner
from publisher.store.descriptions import Description, namespaces, serialize_description
from publisher.store.workers.rate_limit import client_key
from vocab.addresses import is_mail_address
from web.endpoints import contents, get, problems
from web.formats import GRAPHS, HTML, JSON, Format, GraphFormat
from web.negotiation import choose_format
from web.problems import HTTPProblem

_MOST = 64 * 1024  # bytes of a form
_MOST_ADDRESS = 254  # characters of a mail address (RFC 5321)
_DATA: tuple[Format, ...] = (JSON, GRAPHS["ttl"], GRAPHS["jsonld"])

_PATH = re.compile(r"/(?!/)[^\s\x00-\x1f\x7f]*")
# or the page of what it is about
_RECORD = re.compile(r"/(?:record|page/[a-z]+|id/[a-z]+)/(?P<source>[^/]+)/(?P<key>[^/]+)")
_SOURCE = re.compile(r"/source/(?P<source>[^/.]+)")

router = APIRouter()


@get(router, "/problem", include_in_schema=False)
async def problem_form(
    request: Request,
    pages: PagesDep,
    record: Annotated[
        str, Query(max_length=2000, description="Path or IRI of the record or page")
    ] = "",
) -> Response:
    """Return the form for a problem with a record or a page."""
    return _form(request, pages, {"record": record}, "")


@router.post("/problem", include_in_schema=False)
async def file_problem(request: Request, pages: PagesDep) -> Response:
    """Store a problem, and redirect to its page."""
    store = _store(request)
    sent = await read_form(request, _MOST, _MOST)
    fields = {name: value.decode("utf-8", "replace").strip() for name, value in sent.items()}
    target = _target(fields.get("record", ""), pages.iris.base)
    error = "robot" if fields.get("website") else _fault(fields)
    if error or target is None:
        return _form(request, pages, fields, error or "record")
    runner: PreviewRunner | None = request.app.state.problem_quota
    if runner is not None:
        runner.admit(client_key(request.scope))
    arguments = (
        fields["category"],
        fields["text"],
        fields.get("address", ""),
        current_locale().language,
    )
    number = await asyncio.to_thread(store.file, *target, *arguments)
    if number is None:
        return _form(request, pages, fields, "record")
    return RedirectResponse(
        f"/problem/{number}", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"}
    )


@get(
    router,
    "/problem/{number}",
    operation_id="problem",
    summary="What became of a reported problem, without personal data",
    tags=["read"],
    responses={
        **contents(HTML.media, *(row.media for row in _DATA)),
        **problems(400, 404, 406, 503),
    },
)
async def problem_state(
    request: Request, pages: PagesDep, number: Annotated[int, Path(ge=1, le=1 << 31)]
) -> Response:
    """A page, JSON, or a Web Annotation in Turtle or JSON-LD."""
    chosen = choose_format(request.headers.get("accept"), _DATA)
    if chosen is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            TranslatableText("Available: {formats}", formats=", ".join(row.media for row in _DATA)),
            {"Vary": "Accept"},
        )
    problem = await asyncio.to_thread(_store(request).find, number)
    if problem is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There is no such problem; each page leads to the form for one"),
        )
    headers = {"Cache-Control": "no-cache", "Vary": "Accept"}
    if chosen is HTML:
        page = pages.page(
            "problem_state.html", problem=problem, iri=problem_iri(number, pages.iris)
        )
        page.headers.update(headers)
        return page
    return Response(_data(problem, chosen, pages), media_type=chosen.media, headers=headers)


def _data(problem: PublicProblem, chosen: Format, pages: Pages) -> bytes:
    iri = problem_iri(problem.number, pages.iris)
    if isinstance(chosen, GraphFormat):
        return serialize_description(
            Description(iri, annotation(problem, pages.iris), {}, namespaces(pages.iris)), chosen
        )
    values: dict[str, Any] = {
        "iri": iri,
        "record": problem.record,
        "category": problem.category,
        "state": problem.state,
    }
    values |= {
        "created": problem.created,
        "changed": problem.changed,
        "run": pages.iris.run(problem.run) if problem.run else None,
    }
    return orjson.dumps(values)


def _store(request: Request) -> ProblemStore:
    store: ProblemStore | None = request.app.state.problem_store
    if store is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "This server takes no problems, as a mirror; report them where the data are harvested"
            ),
        )
    return store


def _target(text: str, base: str) -> tuple[str, str] | None:
    """Return source and key of what an IRI or a path of ours is about, None if it is neither.

    A source has no key. Another page has no source, and its path as key.
    """
    path = f"/{text.removeprefix(base)}" if text.startswith(base) else text
    if not _PATH.fullmatch(path):
        return None
    if match := _RECORD.fullmatch(path):
        return match["source"], unquote(match["key"])
    if match := _SOURCE.match(path):
        return match["source"], ""
    return "", path


def _fault(fields: dict[str, str]) -> str:
    """Return the name of the first field that is not valid, "" if all are."""
    address = fields.get("address", "")
    if fields.get("category") not in CATEGORIES:
        return "category"
    if not 1 <= len(fields.get("text", "")) <= MOST_CHARACTERS:
        return "text"
    is_mail = len(address) <= _MOST_ADDRESS and is_mail_address(address)
    return "" if not address or is_mail else "address"


def _form(request: Request, pages: Pages, fields: dict[str, str], error: str) -> Response:
    code = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    can_report = request.app.state.problem_store is not None
    values = dict.fromkeys(("record", "category", "text", "address"), "") | fields
    page = pages.page(
        "problem_form.html",
        code,
        fields=values,
        error=error,
        categories=CATEGORIES,
        most=MOST_CHARACTERS,
        can_report=can_report,
    )
    page.headers["Cache-Control"] = "no-store"
    return page
