"""The page `/validate`: check a feed before it is published. Nothing is stored."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.pages import Pages
from publisher.portal.format_detection import FORMATS
from publisher.portal.forms import MULTIPART, read_form
from publisher.portal.source_preview import PreviewRunner
from publisher.portal.source_report import translated_remedy
from publisher.portal.sources import source_titles
from publisher.sparql.protocol import FORM, read_body
from publisher.store.workers.rate_limit import client_key
from shapes.rules import message
from vocab.iris import is_web
from web.endpoints import contents, get, problems
from web.formats import HTML, JSON, Format
from web.negotiation import choose_format
from web.problems import HTTPProblem
from web.sessions import check_origin

MAX_FEED = 16 << 20  # bytes of an upload
_MAX_FINDINGS = 200  # findings on the page
_RESULTS = (
    JSON,
    Format("sarif", "SARIF", "application/sarif+json"),
    Format("junit", "JUnit", "application/xml", ("text/xml",)),
)

router = APIRouter()


@get(router, "/validate", include_in_schema=False)
async def form(service: ServiceDep, pages: PagesDep, request: Request) -> Response:
    """Return the form."""
    return _page(request, pages, await source_titles(service), None)


@router.post(
    "/validate",
    operation_id="validateFeed",
    summary="Check a feed before it is published",
    tags=["read"],
    responses={
        **contents(*(row.media for row in _RESULTS)),
        **problems(400, 403, 406, 413, 429, 503),
    },
)
async def validate(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """The feed is the body, or `file` or `url` of a form; `as`, `source` and `name` say how it is
    read. Nothing is stored.
    """
    accepted = choose_format(request.headers.get("accept"), _RESULTS)
    runner: PreviewRunner | None = request.app.state.preview_runner
    titles = await source_titles(service)
    if accepted is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            TranslatableText(
                "Available: {formats}", formats=", ".join(row.media for row in _RESULTS)
            ),
        )
    if runner is None or not runner.check_command:
        raise HTTPProblem(
            HTTPStatus.SERVICE_UNAVAILABLE, TranslatableText("Feeds cannot be checked here")
        )
    feed, fields = await _read(request)
    arguments = _arguments(feed, fields, titles)
    if accepted is not HTML:
        output = await runner.check(
            (f"--format={accepted.suffix}", *arguments), feed, client_key(request.scope)
        )
        if not output:
            raise HTTPProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                TranslatableText(
                    "The check ended without a result: the feed needs more time or memory"
                ),
            )
        return Response(output, media_type=accepted.media, headers={"Cache-Control": "no-store"})
    output = await runner.check(("--format=json", *arguments), feed, client_key(request.scope))
    return _page(request, pages, titles, orjson.loads(output) if output else {})


async def _read(request: Request) -> tuple[bytes, dict[str, str]]:
    """Return the feed and the fields of a request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    fields = {
        name: request.query_params[name]
        for name in ("as", "source", "name", "url")
        if name in request.query_params
    }
    if kind not in (MULTIPART, FORM):
        check_origin(request)
        return await read_body(request, MAX_FEED), fields
    sent = await read_form(request, MAX_FEED)
    feed = sent.pop("file", b"")
    return feed, {
        **fields,
        **{name: value.decode("utf-8", "replace").strip() for name, value in sent.items()},
    }


def _arguments(feed: bytes, fields: dict[str, str], titles: dict[str, str]) -> tuple[str, ...]:
    """Return the arguments of the command; raises HTTPProblem for a field that is not valid."""
    kind, source, url = fields.get("as", ""), fields.get("source", ""), fields.get("url", "")
    if kind and kind not in FORMATS:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("as must be one of {names}", names=", ".join(FORMATS)),
        )
    if source and source not in titles:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("source must be one of {names}", names=", ".join(sorted(titles))),
        )
    if not feed and not is_web(url):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("Send a file, or the http or https address of a feed"),
        )
    chosen = [f"--source={source}"] if source else [f"--as={kind}"] if kind else []
    name = fields.get("name") or f"feed.{_ENDINGS.get(kind, kind)}".rstrip(".")
    return (*chosen, f"--name={name[:200]}", "--", "-" if feed else url)


_ENDINGS = {
    "dcat": "ttl",
    "schema": "ttl",
    "stocktake": "ttl",
    "ical": "ics",
    "pod": "json",
    "ckan": "json",
    "spreadsheet": "xlsx",
}


def _page(
    request: Request, pages: Pages, titles: dict[str, str], report: dict[str, Any] | None
) -> Response:
    """Return the page with the result; *report* is None before a check, and empty if it ended
    without a result.
    """
    runner: PreviewRunner | None = request.app.state.preview_runner
    language, base = current_locale().language, pages.iris.base
    texts = {
        rule["rule"]: text
        for rule in (report or {}).get("rules", ())
        if (text := message(f"{base}shapes#{rule['rule']}", language, base))
    }
    remedies = {
        rule["rule"]: translated_remedy(
            f"{base}shapes#{rule['rule']}", rule["remedy"], language, base
        )
        for rule in (report or {}).get("rules", ())
    }
    response = pages.page(
        "validate.html",
        report=report,
        texts=texts,
        remedies=remedies,
        findings=(report or {}).get("findings", [])[:_MAX_FINDINGS],
        kinds=FORMATS.values(),
        sources=sorted(titles.items(), key=lambda item: item[1].lower()),
        can_check=runner is not None and bool(runner.check_command),
        size=MAX_FEED >> 20,
    )
    response.headers["Cache-Control"] = "no-store"
    return response
