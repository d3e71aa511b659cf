"""Serve ``/compare``: two topics side by side, or the records at two moments of the journal."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, format_number, isolate
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.history.change_reader import open_history
from publisher.history.comparison import (
    CHANGES,
    Moment,
    compare,
    find_moment,
    list_records,
    parse_within,
)
from publisher.history.versions import compare_versions
from publisher.pages import Pages
from publisher.portal.data_table import DataTable
from publisher.portal.dataset_response import dataset_response, register_dataset
from publisher.portal.entity_statistics import COMPARED, PARTY
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import MAX_BARS, FacetBar, FacetPanel, facet_panels, sort_key
from publisher.portal.moments import moment_sheets, moment_tables
from publisher.portal.profile import Profile, profile
from publisher.portal.sources import source_titles
from publisher.projections.facets.filter_query import Filter, make_filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from publisher.rdf.results import is_iri
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
from web.formats import HTML
from web.problems import HTTPProblem
from web.representation import Representation, build_response

PANELS = ("goal", "line", "country", "region", "year")  # of each side, those that are not its own
PER = 100_000  # records of a list, at most
_PARAMETERS: list[dict[str, object]] = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }
    for name, description in (
        ("one", "A topic as FACET/CODE, such as country/404, or organization/IRI"),
        ("other", "A topic to compare with"),
        ("from", "The earlier moment: a date such as 2026-01-31, release/3, or entry/5"),
        ("to", "The later moment; without it, now"),
        ("within", "Only records of a set, such as source:demo, country:404 or line:C2"),
        ("record", "The IRI of a record, to compare its versions field by field"),
    )
]

From = Annotated[
    str,
    Query(
        alias="from", max_length=60, description="The earlier moment: a date, release/3 or entry/5"
    ),
]
To = Annotated[
    str, Query(max_length=60, description="The later moment; without it, now"), blank_as("now")
]
Within = Annotated[
    list[str],
    Query(max_length=8, description="Only records of these sets, such as source:demo or line:C2"),
]
Only = Annotated[
    str,
    Query(description="Which records", json_schema_extra={"enum": list(CHANGES)}),
    blank_as("new"),
]
PageNumber = Annotated[
    int, Query(ge=1, le=10_000, description=f"The page, from 1, of {PER} records"), whole_number(1)
]


class Side(NamedTuple):
    """A topic of the comparison."""

    name: str
    href: str
    profile: Profile
    panels: tuple[FacetPanel, ...]


@dataclass(frozen=True, slots=True)
class MomentForm:
    """What the form for two moments contains."""

    before: str
    after: str
    within: str
    record: str


class PairedRow(NamedTuple):
    """A code with the counts of both topics."""

    code: str
    name: str
    href: str
    one: ThingCount
    other: ThingCount


class PairedPanel(NamedTuple):
    """A figure of two topics: its rows, the greatest difference first, on one scale up to *largest*,
    and a sentence on that difference.
    """

    facet: str
    title: str
    queries: tuple[str, str]
    rows: list[PairedRow]
    largest: int
    finding: str


router = APIRouter()


@register_dataset(
    router, "/compare", "compare", "Compare two topics, or the records at two moments", _PARAMETERS
)
async def show_comparison(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Show the topics of *one* and *other* beside each other, or the moments *from* and *to*."""
    values = request.query_params
    names = FacetLabels(service.iris, await source_titles(service))
    form = MomentForm(
        *(values.get(name, "").strip() for name in ("from", "to", "within", "record"))
    )
    if form.before or form.record:
        return await _compare_moments(request, service, pages, names, form)
    tables = require_facet_index(service)
    chosen = [values.get(name, "") for name in ("one", "other")]
    topics = await asyncio.to_thread(_topics, tables, names)
    for topic in chosen:
        await asyncio.to_thread(_require_known, tables, topic, topics)
    sides = [await asyncio.to_thread(_side, topic, tables, names) for topic in chosen if topic]

    def show() -> Response:
        return pages.page(
            "compare.html", topics=topics, chosen=chosen, sides=sides, pairs=paired_panels(sides)
        )

    sheets = [panel.table for side in sides for panel in side.panels] or [
        DataTable("none", "", (), ())
    ]
    return await dataset_response(request, service, sheets, show)


@get(router, "/compare/moments", include_in_schema=False)
async def moments_form(request: Request, pages: PagesDep) -> Response:
    """Show the form for two moments; its result is at `/compare`."""
    page = pages.page("moments.html", form=MomentForm("", "", "", ""), moments=None)
    return build_response(request, Representation(bytes(page.body), HTML.media))


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
async def compared_records(
    request: Request,
    service: ServiceDep,
    before: From,
    to: To = "now",
    within: Within = [],  # noqa: B006 - never changed
    only: Only = "new",
    page: PageNumber = 1,
) -> Response:
    """A comparison links each number to its list."""
    sets = parse_within(within)
    one, other = await asyncio.to_thread(find_moments, service, before, to)

    def write() -> bytes:
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(("kind", "thing"))
        listed = list_records(open_history(service), one, other, sets, only, page * PER)
        rows.writerows(
            (kind, f"{service.iris.base}id/{kind}/{name}")
            for kind, name in islice(listed, (page - 1) * PER, None)
        )
        return out.getvalue().encode()

    return build_response(
        request, Representation(await asyncio.to_thread(write), "text/csv; charset=utf-8")
    )


def find_moments(service: QueryService, before: str, after: str) -> tuple[Moment, Moment]:
    """Return the moments *before* and *after*; "" after is now. Raises PublisherError, and
    HTTPProblem if they are not in order.
    """
    history = open_history(service)
    one, other = (find_moment(history, service.data, text or "now") for text in (before, after))
    if one.entry > other.entry:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "{one} is later than {other}; exchange from and to", one=one.text, other=other.text
            ),
        )
    return one, other


async def _compare_moments(
    request: Request, service: QueryService, pages: Pages, names: FacetLabels, form: MomentForm
) -> Response:
    sets = parse_within([text for text in request.query_params.getlist("within") if text.strip()])
    one, other = await asyncio.to_thread(
        find_moments, service, form.before or "entry/1", form.after
    )
    fields = await record_fields(service, form.record, one, other) if form.record else None
    tables = (
        []
        if form.record
        else moment_tables(
            await asyncio.to_thread(compare, open_history(service), one, other, sets), names
        )
    )

    def show() -> Response:
        return pages.page(
            "moments.html",
            form=form,
            moments=(one, other),
            tables=tables,
            changes=CHANGES,
            fields=fields,
        )

    return await dataset_response(request, service, moment_sheets(tables), show)


async def record_fields(
    service: QueryService, record: str, before: Moment, after: Moment
) -> list[FieldView]:
    """Return the fields of a record that differ between two moments. Raises HTTPProblem (404) if it
    had no version by then.
    """
    graph, things = record.strip(), f"{service.iris.base}id/"
    if graph.startswith(things):  # a thing: its kind is no part of its record's IRI
        graph = f"{service.iris.base}record/{graph.removeprefix(things).partition('/')[2]}"
    if not is_iri(graph):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The parameter record must be the IRI of a record or thing, not {record}",
                record=repr(record[:80]),
            ),
        )
    fields = await compare_versions(service, graph, before.entry, after.entry)
    if fields is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "{graph} has no version at {before} or {after}",
                graph=graph,
                before=before.text,
                after=after.text,
            ),
        )
    return fields


def _topics(tables: FacetIndex, names: FacetLabels) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the topics that initiatives have by facet: title, and of each topic its key and name."""
    counts = tables.counts_once(make_filter(kind="initiative"))
    titles = {
        "line": _("Action lines"),
        "goal": _("SDGs"),
        "region": _("Regions"),
        "area": _("Areas"),
        "country": _("Countries"),
        "source": _("Registries"),
    }
    topics = []
    for facet in COMPARED:
        items = [(f"{facet}/{code}", names.short(facet, code)) for code in counts.get(facet, {})]
        by_code = facet in ("line", "goal")
        items.sort(
            key=lambda item: (
                sort_key("line", item[0].partition("/")[2], 0) if by_code else (item[1],)
            )
        )
        topics.append((titles[facet], items))
    return topics


def _require_known(
    tables: FacetIndex, topic: str, topics: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    facet = topic.partition("/")[0]
    known = {key for _title, items in topics for key, _name in items}
    if (
        topic
        and topic not in known
        and not (facet == PARTY and tables.count_different(_filter(topic)))
    ):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "No initiative has the topic {topic}. Name topics as FACET/CODE, such as country/404, source/demo or organization/IRI",
                topic=repr(topic[:80]),
            ),
        )


def _filter(topic: str) -> Filter:
    facet, _slash, code = topic.partition("/")
    return (
        Filter((("kind", ("initiative",)),), party=code)
        if facet == PARTY
        else make_filter(kind="initiative", **{facet: code})
    )


def _side(topic: str, tables: FacetIndex, names: FacetLabels) -> Side:
    facet, _slash, code = topic.partition("/")
    filters = _filter(topic)
    facets = [name for name in PANELS if name != facet]
    panels = tuple(facet_panels(tables, filters, facets, names))
    if facet == PARTY:
        name = tables.organization_names((code,))[code]
        href = code.replace(names.iris.base, "/").replace("/id/", "/page/", 1)
    else:
        name, href = names.short(facet, code), names.page(facet, code)
    return Side(name, href, profile(tables, filters, names), panels)


def paired_panels(sides: Sequence[Side]) -> list[PairedPanel]:
    """Return the figures that two topics have in common; none for one topic."""
    if len(sides) != 2:
        return []
    one, other = ({panel.facet: panel for panel in side.panels} for side in sides)
    return [_pair(panel, other[facet]) for facet, panel in one.items() if facet in other]


def _pair(one: FacetPanel, other: FacetPanel) -> PairedPanel:
    bars = {bar.code: bar for bar in (*one.bars, *other.bars)}
    counts = [{bar.code: bar.value for bar in panel.bars} for panel in (one, other)]
    rows = [
        _paired_row(bar, *(values.get(code, NONE) for values in counts))
        for code, bar in bars.items()
    ]
    rows.sort(key=lambda row: (-abs(row.one - row.other), sort_key(one.facet, row.code, row.one)))
    first = rows[0]
    finding = _("Greatest difference: {name} ({one} and {other})").format(
        name=isolate(first.name), one=format_number(first.one), other=format_number(first.other)
    )
    return PairedPanel(
        one.facet,
        one.title,
        (one.query, other.query),
        rows[:MAX_BARS],
        max(one.largest, other.largest),
        finding if first.one != first.other else "",
    )


def _paired_row(bar: FacetBar, one: ThingCount, other: ThingCount) -> PairedRow:
    return PairedRow(bar.code, bar.name, bar.href, one, other)
