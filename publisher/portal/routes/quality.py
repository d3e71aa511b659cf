"""The pages `/quality` and `/source/{source}/quality`: how complete and usable the records of each
registry are.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.dependencies import source_titles
from publisher.portal.figures import query_page_url
from publisher.portal.quality import (
    badge,
    best_practices,
    example_records,
    indicators,
    measure_record,
    measure_sources,
    measurement_table,
    metric_table,
    quality_history,
    with_points,
)
from web.endpoints import SourcePath
from web.links import origin
from web.problems import HTTPProblem

_NEXT_STEPS = 5  # indicators that a page names first
_RECORD = {
    "name": "record",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "IRI of a record, or the path of its page: the quality of this one",
}

router = APIRouter()


@register_dataset(
    router, "/quality", "quality", "Compare the quality of the records of all registries", [_RECORD]
)
async def compare_quality(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    record: Annotated[
        str, Query(max_length=2000, description="IRI of a record, or the path of its page")
    ] = "",
) -> Response:
    """The indicators with their weights and queries, the measurements of each registry, and the
    registry that is best at each.
    """
    page = f"{service.iris.base}quality"
    if record:
        return await _record_quality(request, service, pages, record)
    qualities, titles = await measure_sources(service), await source_titles(service)
    ranked = sorted(qualities.items(), key=lambda item: (-item[1].points, item[0]))
    best = best_practices(qualities)
    examples = await example_records(service, best)
    history = await quality_history(service)
    previous = history[-1].sources if history else {}
    start = service.iris.source("")

    def show() -> Response:
        return pages.page(
            "quality.html",
            ranked=[(source.removeprefix(start), quality) for source, quality in ranked],
            titles=titles,
            best=[
                (item, source.removeprefix(start), measurement, examples.get(item.name))
                for item, source, measurement in best
            ],
            previous={source.removeprefix(start): quality for source, quality in previous.items()},
            indicators=indicators(),
            forms=format_links(request),
            query_page_url=query_page_url,
        )

    return await asyncio.to_thread(
        dataset_response,
        request,
        service,
        [measurement_table(qualities, service.iris, page), metric_table(service.iris)],
        show,
    )


async def _record_quality(
    request: Request, service: ServiceDep, pages: PagesDep, record: str
) -> Response:
    base = service.iris.base
    about = record if record.startswith(base) else f"{base}{record.lstrip('/')}"
    quality = await measure_record(service, about)
    if quality is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "There is no published record {record}; a page of a record links here",
                record=record[:200],
            ),
        )

    def show() -> Response:
        return pages.page(
            "source_quality.html", quality=quality, title=about.removeprefix(base), record=about, name="", history=[], next_steps=None,
            forms=format_links(request), query_page_url=query_page_url, host=origin(request),
        )  # fmt: skip

    return await asyncio.to_thread(
        dataset_response,
        request,
        service,
        [measurement_table({about: quality}, service.iris, f"{base}quality")],
        show,
    )


@register_dataset(
    router,
    "/source/{source}/quality",
    "sourceQuality",
    "Measure the quality of a registry's records",
    drawn=True,
)
async def source_quality(
    request: Request, service: ServiceDep, pages: PagesDep, source: SourcePath
) -> Response:
    """Each indicator with its query, the history by release, and what would gain most; as SVG it is
    a badge.
    """
    titles = await source_titles(service)
    if source not in titles:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There is no such registry; /sources lists them"),
        )
    about = service.iris.source(source)
    quality = (await measure_sources(service)).get(about)
    history = [
        (past, past.sources[about])
        for past in await quality_history(service)
        if about in past.sources
    ]

    def show() -> Response:
        return pages.page(
            "source_quality.html", quality=quality, title=titles[source], record="", name=source, history=history,
            next_steps=with_points(quality, _NEXT_STEPS) if quality else None, forms=format_links(request, drawn=True),
            query_page_url=query_page_url, host=origin(request),
        )  # fmt: skip

    sheet = measurement_table(
        {about: quality} if quality else {}, service.iris, f"{service.iris.base}quality"
    )
    label = _("Quality of the records of %(registry)s") % {"registry": titles[source]}
    return await asyncio.to_thread(
        dataset_response, request, service, [sheet], show, badge(quality, label)
    )
