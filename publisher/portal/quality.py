"""The quality of a registry's records in five dimensions, after the Metadata Quality Assessment of
data.europa.eu.

Each indicator is a query, so anyone gets the same numbers at ``/sparql``. What is measured, and its
weight, is in ``quality.toml``. Source: https://data.europa.eu/mqa/methodology. Measurements are
written in DQV (https://www.w3.org/TR/vocab-dqv/).
"""

from __future__ import annotations

import asyncio
import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.pages import ServiceDep
from publisher.portal.datasets import Column, DataPage, DataTable, register_dataset
from publisher.portal.facet_labels import NamesDep
from publisher.portal.figures import query_page_url
from publisher.rdf import iri
from publisher.store.query_service import QueryService
from publisher.store.releases import Release, find_store, list_releases
from vocab.iris import Iris
from vocab.terms import ADMS, DCAT, DCT, DQV, FOAF, RDF, RDFS, SCHEMA, SH
from web.charts import render
from web.endpoints import SourcePath
from web.respond import origin, require

_PREFIXES = {
    "adms": ADMS,
    "dcat": DCAT,
    "dct": DCT,
    "dqv": DQV,
    "foaf": FOAF,
    "schema": SCHEMA,
    "sh": SH,
}
_RELEASES = 6  # the newest releases, which the history shows
# The colour by the least share in percent; white text on each has a contrast over 4.5.
_COLOURS = ((75, "#1b6e35"), (50, "#7a5c00"), (0, "#9c2c2c"), (-1, "#767676"))  # -1: no records
# The rating by the least share in percent: the method has 351, 221 and 121 of 405 points.
_BANDS = ((87, "excellent"), (55, "good"), (30, "sufficient"), (0, "bad"))
VALID = "valid"  # the indicator of records without remarks
_NEXT_STEPS = 5  # indicators that a page names first

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Indicator:
    """What records should have: *pattern* matches a record that has it, *weight* is the number of
    points if all records do, and *property* is the property that it concerns.

    *note* says how it differs from the method's indicator.
    """

    name: str
    dimension: str
    weight: int
    pattern: str
    property: str = ""
    note: str = ""

    def query(self, iris: Iris, *, source: str = "", record: str = "") -> str:
        """Return the query that counts the records with it: of one source, of one record, or by
        source.
        """
        return _count(f"  {self.pattern}\n", iris, source, record)

    def path(self, iris: Iris) -> str:
        prefix, _, name = self.property.partition(":")
        return {**_PREFIXES, "wsis": iris.ns}[prefix] + name if name else ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """An indicator of a source or record: *records* of *all* have it, as *query* counts."""

    indicator: Indicator
    records: int
    all: int
    query: str = ""

    @property
    def points(self) -> float:
        return self.indicator.weight * self.records / self.all if self.all else 0.0

    @property
    def gain(self) -> float:
        """Return the points that are missing: what it would gain if all records had it."""
        return self.indicator.weight - self.points


@dataclass(frozen=True, slots=True)
class Quality:
    """The measurements of a source or record, in the order of the dimensions."""

    measurements: tuple[Measurement, ...]

    @property
    def points(self) -> float:
        return sum(item.points for item in self.measurements)

    @property
    def most(self) -> int:
        return sum(item.indicator.weight for item in self.measurements)

    @property
    def share(self) -> int:
        return round(100 * self.points / self.most)

    @property
    def band(self) -> str:
        """Return the rating of the method for this share of the points: excellent, good, sufficient
        or bad.
        """
        return next(name for least, name in _BANDS if self.share >= least)

    @property
    def dimensions(self) -> dict[str, Quality]:
        groups = groupby(self.measurements, key=lambda item: item.indicator.dimension)
        return {name: Quality(tuple(items)) for name, items in groups}


@cache
def indicators() -> tuple[Indicator, ...]:
    table = tomllib.loads(Path(__file__).with_name("quality.toml").read_text(encoding="utf-8"))
    return tuple(Indicator(**row) for row in table["indicator"])


def _count(pattern: str, iris: Iris, source: str = "", record: str = "") -> str:
    prefixes = "".join(
        f"PREFIX {name}: <{value}>\n"
        for name, value in {**_PREFIXES, "wsis": iris.ns, "ops": iris.operations}.items()
    )
    fixed = f"  VALUES ?source {{ {iri(source)} }}\n" if source else ""
    fixed += f"  VALUES ?record {{ {iri(record)} }}\n" if record else ""
    head, tail = ("", "") if fixed else ("?source ", " GROUP BY ?source")
    return (
        f"{prefixes}\nSELECT {head}(COUNT(DISTINCT ?record) AS ?records) {{\n{fixed}"
        "  ?source dcat:record ?record .\n  ?record foaf:primaryTopic ?thing ; adms:status ?state .\n"
        f"  FILTER(?state IN (ops:published, ops:vanished))\n{pattern}}}{tail}"
    )


async def measure_sources(service: QueryService, snapshot: str = "") -> dict[str, Quality]:
    """Return the quality of each source with records, by its IRI; *snapshot* is the folder of
    another state, such as a release's.
    """
    iris = service.iris
    texts = [_count("", iris), *(item.query(iris) for item in indicators())]
    totals, *counted = await asyncio.gather(*(_counts(service, text, snapshot) for text in texts))
    return {
        source: Quality(
            tuple(
                Measurement(item, counts.get(source, 0), total, item.query(iris, source=source))
                for item, counts in zip(indicators(), counted, strict=True)
            )
        )
        for source, total in totals.items()
    }


async def measure_record(service: QueryService, record: str) -> Quality | None:
    texts = [item.query(service.iris, record=record) for item in indicators()]
    count = _count("", service.iris, record=record)
    [total], *counted = await asyncio.gather(*(service.rows(text) for text in (count, *texts)))
    if total["records"].value == "0":
        return None
    return Quality(
        tuple(
            Measurement(item, int(row["records"].value), 1, text)
            for item, [row], text in zip(indicators(), counted, texts, strict=True)
        )
    )


async def _counts(
    service: QueryService, text: str, snapshot: str = "", by: str = "source"
) -> dict[str, int]:
    rows = await service.rows(text, folder=snapshot)
    return {row[by].value: int(row["records"].value) for row in rows if by in row}


async def quality_history(
    service: QueryService,
) -> list[tuple[Release, Mapping[str, Quality]]]:
    """Return the newest releases with the quality of the sources in each, oldest first: those whose
    stores are here, so that no page builds one.
    """
    releases = list_releases(service.data / "releases")[:_RELEASES]
    return [
        (release, await measure_sources(service, store.path))
        for release in reversed(releases)
        if not release.withdrawn and (store := find_store(service.data, release))
    ]


async def rule_gains(
    service: QueryService, source: str, quality: Quality, paths: Collection[str]
) -> dict[str, float]:
    """Return by shape how many points the source would gain if no record broke that rule any more;
    *paths* are properties of its remarks.

    Counted are the records that no other rule remarks on, which would be valid, and those that lack
    what an indicator asks for of the same property.
    """
    valid = next(item for item in quality.measurements if item.indicator.name == VALID)
    gains = defaultdict[str, float](float)
    lacking = [item for item in indicators() if item.path(service.iris) in paths]
    for item in [None, *lacking] if valid.all else ():
        weight, text = (item or valid.indicator).weight, rule_query(service.iris, source, item)
        for shape, count in (await _counts(service, text, by="shape")).items():
            gains[shape] += weight * count / valid.all
    return gains


def rule_query(iris: Iris, source: str, lacking: Indicator | None = None) -> str:
    """Return the query that counts by shape the records with remarks of one rule only, or with a
    remark on the property they lack.
    """
    pattern = "  ?record ops:result ?result . ?result sh:sourceShape ?shape .\n"
    if lacking:
        pattern += f"  ?result sh:resultPath {iri(lacking.path(iris))} .\n  FILTER NOT EXISTS {{ {lacking.pattern} }}\n"
    else:
        pattern += "  FILTER NOT EXISTS { ?record ops:result ?other . ?other sh:sourceShape ?rule . FILTER(?rule != ?shape) }\n"
    return _count(pattern, iris, source).replace("SELECT (", "SELECT ?shape (") + " GROUP BY ?shape"


_MEASURED = (
    Column("measurement"),
    Column("type", property=f"{RDF}type", linked=True),
    Column("source", property=f"{DQV}computedOn", linked=True),
    Column("metric", property=f"{DQV}isMeasurementOf", linked=True),
    Column("records", property=f"{DQV}value"),
    Column("all"),
    Column("weight"),
    Column("points"),
    Column("query"),
)
_METRICS = (
    Column("metric"),
    Column("type", property=f"{RDF}type", linked=True),
    Column("name", property=f"{RDFS}label"),
    Column("dimension", property=f"{DQV}inDimension", linked=True),
    Column("definition", property=f"{DCT}source", linked=True),
    Column("weight"),
    Column("note", property=f"{RDFS}comment"),
    Column("pattern"),
)


def measurement_table(qualities: Mapping[str, Quality], iris: Iris) -> DataTable:
    """Return the measurements of sources (by IRI) as DQV; the value of each is the number of
    records that its query counts.
    """
    rows = tuple(
        (
            f"{iris.base}quality#{source.rpartition('/')[2]}-{item.indicator.name}",
            f"{DQV}QualityMeasurement",
            source,
            metric_iri(item.indicator, iris),
            item.records,
            item.all,
            item.indicator.weight,
            f"{item.points:.1f}",
            item.query,
        )
        for source, quality in qualities.items()
        for item in quality.measurements
    )
    return DataTable("measurements", "Measurements", _MEASURED, rows, is_observation=False)


def metric_table(iris: Iris) -> DataTable:
    rows = tuple(
        (
            metric_iri(item, iris),
            f"{DQV}Metric",
            item.name,
            f"{iris.base}quality#{item.dimension}",
            "https://data.europa.eu/mqa/methodology",
            item.weight,
            item.note or None,
            item.pattern,
        )
        for item in indicators()
    )
    return DataTable("metrics", "Metrics", _METRICS, rows, is_observation=False)


def metric_iri(indicator: Indicator, iris: Iris) -> str:
    """Return the IRI of an indicator, which leads to the page of all."""
    return f"{iris.base}quality#{indicator.name}"


async def best_practices(
    service: QueryService, qualities: Mapping[str, Quality]
) -> list[tuple[Indicator, str, Measurement, str | None]]:
    """Return for each indicator the source whose records have it most often, its measurement, and a
    record that has it, None if none does.
    """
    best: list[tuple[Indicator, str, Measurement, str | None]] = []
    counting, naming = "(COUNT(DISTINCT ?record) AS ?records)", "(MIN(?record) AS ?example)"
    measured = [
        [(source, item) for item in quality.measurements] for source, quality in qualities.items()
    ]
    for items in zip(*measured, strict=True):
        source, item = min(items, key=lambda pair: (-pair[1].points, pair[0]))
        [row] = await service.rows(item.query.replace(counting, naming)) if item.records else [{}]
        example = row["example"].value if row else None
        best.append((item.indicator, source, item, example))
    return best


def with_points(quality: Quality, count: int) -> Quality:
    """Return the *count* measurements that would gain most."""
    ranked = sorted(quality.measurements, key=lambda item: (-item.gain, item.indicator.name))
    return replace(quality, measurements=tuple(item for item in ranked if item.gain)[:count])


def badge(quality: Quality | None, title: str) -> Markup:
    """Draw a badge that a registry can show: the points in percent; *title* is what is read out."""
    share = quality.share if quality else -1
    colour = next(colour for least, colour in _COLOURS if share >= least)
    return render("badge", text=f"{share} %" if quality else "–", colour=colour, label=title)


@register_dataset(
    router, "/quality", "quality", "Compare the quality of the records of all registries"
)
async def compare_quality(
    request: Request,
    service: ServiceDep,
    names: NamesDep,
    record: Annotated[
        str, Query(max_length=2000, description="IRI of a record, or the path of its page")
    ] = "",
) -> DataPage:
    """The indicators with their weights and queries, the measurements of each registry, and the
    registry that is best at each.
    """
    base, start = service.iris.base, service.iris.source("")
    if record:
        about = record if record.startswith(base) else f"{base}{record.lstrip('/')}"
        measured = require(
            await measure_record(service, about),
            TranslatableText(
                "There is no published record {record}; a page of a record links here",
                record=record[:200],
            ),
        )
        return _quality_of(
            request, service, measured, about, record=about, title=about.removeprefix(base)
        )
    qualities = await measure_sources(service)
    ranked = sorted(qualities.items(), key=lambda item: (-item[1].points, item[0]))
    best = await best_practices(service, qualities)
    history = await quality_history(service)
    previous = history[-1][1] if history else {}
    values = {
        "ranked": [(source.removeprefix(start), quality) for source, quality in ranked],
        "titles": names.sources,
        "best": [(item, source.removeprefix(start), *rest) for item, source, *rest in best],
        "previous": {source.removeprefix(start): quality for source, quality in previous.items()},
        "indicators": indicators(),
        "query_page_url": query_page_url,
    }
    tables = [measurement_table(qualities, service.iris), metric_table(service.iris)]
    return DataPage(lambda: tables, "quality.html", lambda: values)


def _quality_of(
    request: Request,
    service: QueryService,
    quality: Quality | None,
    about: str,
    *,
    drawing: Markup | None = None,
    **values: object,
) -> DataPage:
    known = {"quality": quality, "query_page_url": query_page_url, "host": origin(request)}
    absent: dict[str, object] = {"record": "", "name": "", "history": [], "next_steps": None}
    table = measurement_table({about: quality} if quality else {}, service.iris)
    return DataPage(
        lambda: [table], "source_quality.html", lambda: {**absent, **known, **values}, drawing
    )


@register_dataset(
    router,
    "/source/{source}/quality",
    "sourceQuality",
    "Measure the quality of a registry's records",
    drawn=True,
)
async def source_quality(
    request: Request, service: ServiceDep, names: NamesDep, source: SourcePath
) -> DataPage:
    """Each indicator with its query, the history by release, and what would gain most; as SVG it is
    a badge.
    """
    require(
        source in names.sources, TranslatableText("There is no such registry; /sources lists them")
    )
    about, title = service.iris.source(source), names.sources[source]
    quality = (await measure_sources(service)).get(about)
    history = await quality_history(service)
    return _quality_of(
        request,
        service,
        quality,
        about,
        drawing=badge(quality, _("Quality of the records of %(registry)s") % {"registry": title}),
        name=source,
        title=title,
        history=[(past, sources[about]) for past, sources in history if about in sources],
        next_steps=with_points(quality, _NEXT_STEPS) if quality else None,
    )
