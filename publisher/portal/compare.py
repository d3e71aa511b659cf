"""Serve ``/compare``: two topics side by side, or the records at two moments of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, format_number, isolate
from languages.translations import gettext as _
from publisher.data.tables import NONE
from publisher.history.change_reader import compare_versions, open_history
from publisher.history.comparison import (
    CHANGES,
    FACETS,
    Comparison,
    Moment,
    Numbers,
    compare,
    find_moment,
    list_records,
    parse_within,
)
from publisher.pages import PagesDep, ServiceDep
from publisher.portal.datasets import Cell, Column, DataPage, DataTable, register_dataset, write_csv
from publisher.portal.entity_statistics import COMPARED, PARTY, profile
from publisher.portal.facet_labels import FacetLabels, NamesDep, facet_title, plural_title
from publisher.portal.figures import INITIATIVES, MAX_BARS, Bars, Figures, sort_key
from publisher.rdf import is_iri
from publisher.store.query_service import QueryService
from vocab.field_changes import FieldView
from web.endpoints import (
    blank_as,
    contents,
    get,
    known_parameters,
    problems,
    whole_number,
)
from web.respond import HTML, require, respond

# The facets of the panels of each side, which leaves out its own.
PANELS = ("goal", "line", "country", "region", "year")
PAGE_SIZE = 100_000  # records of a page of a list
_FORM = ("from", "to", "within", "record")  # fields of the form for two moments
router = APIRouter()


@register_dataset(
    router, "/compare", "compare", "Compare two topics, or the records at two moments"
)
async def compare_topics(
    request: Request,
    service: ServiceDep,
    names: NamesDep,
    one: Annotated[
        str, Query(description="A topic as FACET/CODE, such as country/404, or organization/IRI")
    ] = "",
    other: Annotated[str, Query(description="A topic to compare with")] = "",
    before: Annotated[
        str,
        Query(
            alias="from",
            description="The earlier moment: a date such as 2026-01-31, release/3, or entry/5",
        ),
    ] = "",
    to: Annotated[str, Query(description="The later moment; without it, now")] = "",
    within: Annotated[
        list[str],
        Query(
            description="Only records of these sets, such as source:demo, country:404 or line:C2"
        ),
    ] = [],  # noqa: B006 - never changed
    record: Annotated[
        str, Query(description="The IRI of a record, to compare its versions field by field")
    ] = "",
) -> DataPage:
    """Compare the topics of *one* and *other*, or the moments *from* and *to*."""
    if before.strip() or record.strip():
        sets = parse_within([text for text in within if text.strip()])
        texts = (before, to, next(iter(within), ""), record)
        form = dict(zip(_FORM, map(str.strip, texts), strict=True))
        return await _compare_moments(service, names, form, sets)
    return await asyncio.to_thread(
        _compare_topics, [one, other], Figures(service.tables, names, INITIATIVES)
    )


def _compare_topics(chosen: Sequence[str], figures: Figures) -> DataPage:
    topics = _topics(figures)
    known = {key for _title, items in topics for key, _name in items}
    sides = []
    for topic in filter(None, chosen):
        facet, _slash, code = topic.partition("/")
        is_party = facet == PARTY
        filters = (
            replace(INITIATIVES, party=code) if is_party else INITIATIVES.with_codes(facet, code)
        )
        require(
            topic in known or (is_party and bool(figures.tables.count_different(filters))),
            TranslatableText(
                "No initiative has the topic {topic}. Name topics as FACET/CODE, such as country/404, source/demo or organization/IRI",
                topic=repr(topic[:80]),
            ),
        )
        sides.append(_side(facet, code, replace(figures, filters=filters)))
    panels = [panel for side in sides for panel in side["panels"]]
    return DataPage(
        lambda: [panel.table for panel in panels] or [DataTable("none", "", (), ())],
        "compare.html",
        lambda: {
            "topics": topics,
            "chosen": chosen,
            "sides": sides,
            "pairs": _pairs(*(side["panels"] for side in sides)) if len(sides) == 2 else [],
        },
    )


@get(router, "/compare/moments", include_in_schema=False)
def moments_form(request: Request, pages: PagesDep) -> Response:
    """Show the form for two moments; its result is at `/compare`."""
    return respond(
        request, pages.page("moments.html", form=dict.fromkeys(_FORM, ""), moments=None), HTML
    )


@get(
    router,
    "/compare/records",
    operation_id="comparedRecords",
    dependencies=[Depends(known_parameters)],
    summary="List the records that a number of a comparison counts",
    tags=["find"],
    response_class=Response,
    response_description="A table with the kind and the IRI of each thing, by IRI",
    responses=contents("text/csv") | problems(400, 404, 503),
)
def compared_records(
    request: Request,
    service: ServiceDep,
    before: Annotated[
        str,
        Query(
            alias="from",
            max_length=60,
            description="The earlier moment: a date, release/3 or entry/5",
        ),
    ],
    to: Annotated[
        str, Query(max_length=60, description="The later moment; without it, now"), blank_as("now")
    ] = "now",
    within: Annotated[
        list[str],
        Query(
            max_length=8, description="Only records of these sets, such as source:demo or line:C2"
        ),
    ] = [],  # noqa: B006 - never changed
    only: Annotated[
        str,
        Query(description="Which records", json_schema_extra={"enum": list(CHANGES)}),
        blank_as("new"),
    ] = "new",
    page: Annotated[
        int,
        Query(ge=1, le=10_000, description=f"The page, from 1, of {PAGE_SIZE} records"),
        whole_number(1),
    ] = 1,
) -> Response:
    """A comparison links each number to its list."""
    sets = parse_within(within)
    one, other = find_moments(service, before, to)
    listed = list_records(open_history(service), one, other, sets, only, page * PAGE_SIZE)
    rows = (
        (kind, f"{service.iris.base}id/{kind}/{name}")
        for kind, name in islice(listed, (page - 1) * PAGE_SIZE, None)
    )
    return respond(request, write_csv([("kind", "thing"), *rows]), "text/csv; charset=utf-8")


def find_moments(service: QueryService, before: str, after: str) -> tuple[Moment, Moment]:
    """Return the moments *before* and *after*; "" after is now. Raises PublisherError, and
    HTTPProblem if they are not in order.
    """
    history = open_history(service)
    one, other = (find_moment(history, service.data, text or "now") for text in (before, after))
    require(
        one.entry <= other.entry,
        TranslatableText(
            "{one} is later than {other}; exchange from and to", one=one.text, other=other.text
        ),
        HTTPStatus.BAD_REQUEST,
    )
    return one, other


async def _compare_moments(
    service: QueryService, names: FacetLabels, form: Mapping[str, str], sets: tuple[str, ...]
) -> DataPage:
    before, record = form["from"] or "entry/1", form["record"]
    one, other = await asyncio.to_thread(find_moments, service, before, form["to"])
    values = {"form": form, "moments": (one, other), "changes": CHANGES, "names": names}
    values["fields"] = await record_fields(service, record, one, other) if record else None

    def tables() -> list[DataTable]:
        return [] if record else moment_tables(compare(open_history(service), one, other, sets))

    return DataPage(tables, "moments.html", lambda: {**values, "tables": tables()})


async def record_fields(
    service: QueryService, record: str, before: Moment, after: Moment
) -> list[FieldView]:
    """Return the fields of a record that differ between two moments. Raises HTTPProblem (404) if it
    had no version by then.
    """
    graph, things = record.strip(), f"{service.iris.base}id/"
    if graph.startswith(things):  # a thing: its kind is no part of its record's IRI
        graph = f"{service.iris.base}record/{graph.removeprefix(things).partition('/')[2]}"
    require(
        is_iri(graph),
        TranslatableText(
            "The parameter record must be the IRI of a record or thing, not {record}",
            record=repr(record[:80]),
        ),
        HTTPStatus.BAD_REQUEST,
    )
    return require(
        await compare_versions(service, graph, before.entry, after.entry),
        TranslatableText(
            "{graph} has no version at {before} or {after}",
            graph=graph,
            before=before.text,
            after=after.text,
        ),
    )


def moment_tables(comparison: Comparison) -> list[DataTable]:
    """Return the numbers of all records, then those of each facet that has any, with the address of
    the records that each number counts.
    """
    by_facet = {"": {"": comparison.total}, **comparison.by_facet}
    return [
        _moment_table(comparison, facet, by_facet[facet])
        for facet in ("", *FACETS)
        if by_facet[facet]
    ]


def _moment_table(comparison: Comparison, facet: str, by_code: Mapping[str, Numbers]) -> DataTable:
    names = (*CHANGES, "share_before", "share_after", *(f"{name}_records" for name in CHANGES))
    total, rows = comparison.total, list[tuple[Cell, ...]]()
    ranked = sorted(by_code.items(), key=lambda pair: sort_key(facet, pair[0], pair[1].after))
    for code, numbers in ranked:
        sets = sorted({*comparison.within, *([f"{facet}:{code}"] if facet else [])})
        cells: tuple[Cell, ...] = (
            *([code] if facet else []),
            *(int(getattr(numbers, name)) for name in CHANGES),
            f"{numbers.before / (total.before or 1):.6f}",
            f"{numbers.after / (total.after or 1):.6f}",
            *(records_url(comparison.before, comparison.after, sets, name) for name in CHANGES),
        )
        rows.append(cells)
    return DataTable(
        facet or "records",
        facet_title(facet) if facet else _("Records"),
        (*([Column(facet, facet)] if facet else []), *map(Column, names)),
        tuple(rows),
        is_observation=False,
    )


def records_url(before: Moment, after: Moment, within: Iterable[str], only: str) -> str:
    pairs = [("from", before.text), ("to", after.text), *(("within", item) for item in within)]
    return f"/compare/records?{urlencode([*pairs, ('only', only)])}"


def _topics(figures: Figures) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the topics that initiatives have by facet: title, and of each topic its key and name."""
    topics = []
    for facet in COMPARED:
        bars = figures[f"bars/{facet}"].bars  # numbered ones are in order already
        if facet not in ("line", "goal"):
            bars = sorted(bars, key=lambda bar: bar.name)
        topics.append((plural_title(facet), [(f"{facet}/{bar.code}", bar.name) for bar in bars]))
    return topics


def _side(facet: str, code: str, figures: Figures) -> dict[str, Any]:
    names = figures.names
    if facet == PARTY:
        name = figures.tables.organization_names((code,))[code]
        href = code.replace(names.iris.base, "/").replace("/id/", "/page/", 1)
    else:
        name, href = names.short(facet, code), names.page(facet, code)
    return {
        "name": name,
        "href": href,
        "profile": profile(figures),
        "panels": figures.bars(one for one in PANELS if one != facet),
    }


def _pairs(ones: Sequence[Bars], others: Sequence[Bars]) -> list[dict[str, Any]]:
    """Return the figures that two topics have in common: rows by difference, on one scale up to
    *largest*.
    """
    return [_pair(one, other) for one in ones for other in others if other.facet == one.facet]


def _pair(one: Bars, other: Bars) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"code": bar.code, "name": bar.name, "href": bar.href}
        | {"one": one.counts.get(bar.code, NONE), "other": other.counts.get(bar.code, NONE)}
        for bar in {bar.code: bar for bar in (*one.bars, *other.bars)}.values()
    ]
    rows.sort(
        key=lambda row: (
            -abs(row["one"] - row["other"]),
            sort_key(one.facet, row["code"], row["one"]),
        )
    )
    first = rows[0]
    finding = _("Greatest difference: {name} ({one} and {other})").format(
        name=isolate(first["name"]),
        one=format_number(first["one"]),
        other=format_number(first["other"]),
    )
    return {
        "facet": one.facet,
        "title": one.title,
        "queries": (one.query, other.query),
        "rows": rows[:MAX_BARS],
        "largest": max(one.largest, other.largest),
        "finding": finding if first["one"] != first["other"] else "",
    }
