"""The page `/source/{source}/report`: what a registry can fix, with its own field names."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.pages import Pages
from publisher.portal.search import FEED_FORMATS
from publisher.portal.source_preview import PreviewRunner
from publisher.portal.source_report import (
    ReportOnSource,
    as_atom,
    as_csv,
    as_json,
    as_turtle,
    report_on_source,
    translated_remedy,
)
from publisher.portal.sources import source_titles
from publisher.store.query_service import QueryService
from publisher.store.source_status import source_statuses
from publisher.store.workers.rate_limit import client_key
from shapes.rules import message
from web.endpoints import SourcePath, contents, get, problems
from web.formats import GRAPHS, HTML, JSON, Format
from web.links import origin, typed_link
from web.negotiation import choose_format
from web.problems import HTTPProblem
from web.representation import Representation, build_response

_DATA: dict[str, Format] = {
    "json": JSON,
    "csv": Format("csv", "CSV", "text/csv; charset=utf-8"),
    "ttl": GRAPHS["ttl"],
}
_FEED = FEED_FORMATS["atom"]
_FORMATS: dict[str, Format] = {**_DATA, "atom": _FEED, "html": HTML}

router = APIRouter()


@get(router, "/source/{source}/report", include_in_schema=False)
async def negotiated_report(
    request: Request, service: ServiceDep, pages: PagesDep, source: SourcePath
) -> Response:
    """Return the report in the format that Accept prefers."""
    chosen = choose_format(request.headers.get("accept"), [*_DATA.values(), _FEED])
    return await _respond(request, service, pages, source, chosen, negotiated=True)


@get(
    router,
    "/source/{source}/report.{suffix}",
    operation_id="sourceReport",
    summary="Report what a registry can fix, by rule",
    tags=["read"],
    responses={
        **contents(*(row.media for row in _FORMATS.values())),
        **problems(404, 406, 429, 503),
    },
)
async def report(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    source: SourcePath,
    suffix: Annotated[
        str, Path(description="The format", json_schema_extra={"enum": list(_FORMATS)})
    ],
) -> Response:
    """The remarks of published records and the records that the newest run withheld, by rule, with
    examples and what to do.
    """
    return await _respond(request, service, pages, source, _FORMATS.get(suffix), negotiated=False)


async def _respond(
    request: Request,
    service: QueryService,
    pages: Pages,
    name: str,
    chosen: Format | None,
    *,
    negotiated: bool,
) -> Response:
    address = f"/source/{name}/report"
    if chosen is None:
        available = ", ".join(
            f"{address}.{row.suffix} ({row.media.partition(';')[0]})" for row in _FORMATS.values()
        )
        detail = TranslatableText(
            "No available format matches your request. Available: {formats}", formats=available
        )
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, detail, {"Vary": "Accept"})
    titles = await source_titles(service)
    if name not in titles:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There is no such registry; /sources lists them"),
        )
    status = (await source_statuses(service)).get(name)
    properties = status.properties if status else {}
    ledger = await _ledger(
        request, service, name, f"{properties.get('lastRun')} {properties.get('lastOutcome')}"
    )
    report = await report_on_source(
        service, name, titles[name], properties.get("lastSuccess", ""), ledger
    )
    links = [
        typed_link("alternate", f"{address}.{row.suffix}", row.media)
        for row in _FORMATS.values()
        if row is not chosen
    ]
    body = await _body(request, service, pages, name, report, chosen)
    return build_response(
        request, Representation(body, chosen.media, links=links, negotiated=negotiated)
    )


async def _ledger(
    request: Request, service: QueryService, name: str, version: str
) -> dict[str, Any]:
    """Return the output of the command ``sources report``, empty without a ledger."""
    runner: PreviewRunner | None = request.app.state.preview_runner
    reporter = runner.reporter if runner else None
    if reporter is None:
        return {}
    output = await reporter.check_once(
        ("--", name), f"{version} {service.current.position}", client_key(request.scope)
    )
    report: dict[str, Any] = orjson.loads(output) if output else {}
    return report


async def _body(
    request: Request,
    service: QueryService,
    pages: Pages,
    name: str,
    report: ReportOnSource,
    chosen: Format,
) -> bytes:
    base, language = service.iris.base, current_locale().language
    if chosen is HTML:
        texts = {rule.iri: message(rule.iri, language, base) for rule in report.rules if rule.iri}
        remedies = {
            rule.rule: translated_remedy(rule.iri, rule.remedy, language, base)
            for rule in report.rules
        }
        page = pages.page(
            "source_report.html",
            report=report,
            texts=texts,
            remedies=remedies,
            name=name,
            forms=[*_DATA.values(), _FEED],
        )
        return bytes(page.body)
    if chosen is JSON:
        return as_json(report, base)
    if chosen is _FEED:
        return as_atom(report, origin(request), f"/source/{name}/report")
    return (
        await as_turtle(report, service)
        if chosen is GRAPHS["ttl"]
        else as_csv(report, origin(request))
    )
