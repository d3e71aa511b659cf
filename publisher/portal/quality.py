"""The quality of a registry's records in five dimensions, after the Metadata Quality Assessment of
data.europa.eu.

Each indicator is a query, so anyone gets the same numbers at ``/sparql``. What is measured, and its
weight, is in ``quality.toml``. Source: https://data.europa.eu/mqa/methodology. Measurements are
written in DQV (https://www.w3.org/TR/vocab-dqv/).
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from publisher.portal.data_table import Column, DataTable
from publisher.rdf.results import iri
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import list_releases
from publisher.store.releases.release_stores import find_store
from vocab.iris import Iris
from vocab.terms import ADMS, DCAT, DCT, DQV, FOAF, RDF, RDFS, SCHEMA, SH
from web.charts.svg import element, svg

_PREFIXES = {
    "adms": ADMS,
    "dcat": DCAT,
    "dct": DCT,
    "dqv": DQV,
    "foaf": FOAF,
    "schema": SCHEMA,
    "sh": SH,
}
_RELEASES = 6  # of the history, the newest
_NO_RECORDS = "#767676"
# by the least share in percent; white text on each has a contrast over 4.5
_COLOURS = ((75, "#1b6e35"), (50, "#7a5c00"), (0, "#9c2c2c"))
# by the least share in percent: the method rates 351, 221 and 121 of 405 points
_BANDS = ((87, "excellent"), (55, "good"), (30, "sufficient"), (0, "bad"))
VALID = "valid"  # the indicator of records without remarks


@dataclass(frozen=True, slots=True)
class Indicator:
    """What a record is asked for: *pattern* matches if it has it, *weight* are the points for all
    records, *property* what it looks at.

    *note* is how it differs from the method's.
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
        """Return the IRI of the property."""
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
        """Return the points of its weight."""
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
        """Return the sum of the points."""
        return sum(item.points for item in self.measurements)

    @property
    def most(self) -> int:
        """Return the highest possible sum of points."""
        return sum(item.indicator.weight for item in self.measurements)

    @property
    def share(self) -> int:
        """Return the points as a percentage of the most."""
        return round(100 * self.points / self.most)

    @property
    def band(self) -> str:
        """Return the rating of the method for this share of the points: excellent, good, sufficient
        or bad.
        """
        return next(name for least, name in _BANDS if self.share >= least)

    @property
    def dimensions(self) -> dict[str, Quality]:
        """Return the part of each dimension."""
        groups = groupby(self.measurements, key=lambda item: item.indicator.dimension)
        return {name: Quality(tuple(items)) for name, items in groups}


@cache
def indicators() -> tuple[Indicator, ...]:
    """Return all indicators, by dimension."""
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
    texts = [_count("", service.iris), *(item.query(service.iris) for item in indicators())]
    totals, *counted = await asyncio.gather(*(_counts(service, text, snapshot) for text in texts))
    counts_by_indicator = dict(zip(indicators(), counted, strict=True))
    return {
        source: Quality(
            tuple(
                Measurement(
                    item, counts.get(source, 0), total, item.query(service.iris, source=source)
                )
                for item, counts in counts_by_indicator.items()
            )
        )
        for source, total in totals.items()
    }


async def measure_record(service: QueryService, record: str) -> Quality | None:
    """Return the quality of one record, None if it is not published."""
    [all_rows] = await service.rows(_count("", service.iris, record=record))
    if all_rows["records"].value == "0":
        return None
    measurements = []
    for item in indicators():
        text = item.query(service.iris, record=record)
        [row] = await service.rows(text)
        measurements.append(Measurement(item, int(row["records"].value), 1, text))
    return Quality(tuple(measurements))


async def _counts(service: QueryService, text: str, snapshot: str) -> dict[str, int]:
    rows = await service.rows(text, folder=snapshot)
    return {row["source"].value: int(row["records"].value) for row in rows if "source" in row}


@dataclass(frozen=True, slots=True)
class PastQuality:
    """The quality of sources, by IRI, in release *number* of *day*."""

    number: int
    day: str
    sources: Mapping[str, Quality]


async def quality_history(service: QueryService) -> list[PastQuality]:
    """Return the quality in the newest releases, oldest first: those whose stores are here, so that
    no page builds one.
    """
    history = []
    for release in list_releases(service.data / "releases")[:_RELEASES]:
        store = None if release.withdrawn else find_store(service.data, release)
        if store is not None:
            history.append(
                PastQuality(release.number, release.day, await measure_sources(service, store.path))
            )
    return sorted(history, key=lambda past: past.number)


async def rule_gains(
    service: QueryService, source: str, quality: Quality, paths: Collection[str]
) -> dict[str, float]:
    """Return by shape how many points the source would gain if no record broke that rule any more;
    *paths* are properties of its remarks.

    Counted are the records that no other rule remarks on, which would be valid, and those that lack
    what an indicator asks for of the same property.
    """
    weights = {item.indicator.name: item for item in quality.measurements}
    total = weights[VALID].all
    if not total:
        return {}
    gains: dict[str, float] = {}
    for shape, count in (await _by_shape(service, rule_query(service.iris, source))).items():
        gains[shape] = gains.get(shape, 0.0) + weights[VALID].indicator.weight * count / total
    for item in indicators():
        if item.path(service.iris) not in paths:
            continue
        for shape, count in (
            await _by_shape(service, rule_query(service.iris, source, item))
        ).items():
            gains[shape] = gains.get(shape, 0.0) + item.weight * count / total
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


async def _by_shape(service: QueryService, text: str) -> dict[str, int]:
    return {
        row["shape"].value: int(row["records"].value)
        for row in await service.rows(text)
        if "shape" in row
    }


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


def measurement_table(qualities: Mapping[str, Quality], iris: Iris, page: str) -> DataTable:
    """Return the measurements of sources (by IRI) as DQV; the value of each is the number of
    records that its query counts.
    """
    rows = [
        (
            f"{page}#{source.rpartition('/')[2]}-{item.indicator.name}",
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
    ]
    return DataTable("measurements", "Measurements", _MEASURED, tuple(rows), is_observation=False)


def metric_table(iris: Iris) -> DataTable:
    """Return the indicators as DQV metrics."""
    method = "https://data.europa.eu/mqa/methodology"
    rows = [
        (
            metric_iri(item, iris),
            f"{DQV}Metric",
            item.name,
            f"{iris.base}quality#{item.dimension}",
            method,
            item.weight,
            item.note or None,
            item.pattern,
        )
        for item in indicators()
    ]
    return DataTable("metrics", "Metrics", _METRICS, tuple(rows), is_observation=False)


def metric_iri(indicator: Indicator, iris: Iris) -> str:
    """Return the IRI of an indicator, which leads to the page of all."""
    return f"{iris.base}quality#{indicator.name}"


def best_practices(qualities: Mapping[str, Quality]) -> list[tuple[Indicator, str, Measurement]]:
    """Return for each indicator the source whose records have it most often, and its measurement."""
    best = []
    for number, indicator in enumerate(indicators()):
        ranked = sorted(
            qualities, key=lambda source: (-qualities[source].measurements[number].points, source)
        )
        if ranked:
            best.append((indicator, ranked[0], qualities[ranked[0]].measurements[number]))
    return best


async def example_records(
    service: QueryService, best: Sequence[tuple[Indicator, str, Measurement]]
) -> dict[str, str]:
    """Return by indicator a record of its best source that has it."""
    examples = {}
    for indicator, source, measurement in best:
        if measurement.records:
            counting = "(COUNT(DISTINCT ?record) AS ?records)"
            finding = "(MIN(?record) AS ?example)"
            [row] = await service.rows(
                indicator.query(service.iris, source=source).replace(counting, finding)
            )
            examples[indicator.name] = row["example"].value
    return examples


def with_points(quality: Quality, count: int) -> Quality:
    """Return the *count* measurements that would gain most."""
    ranked = sorted(quality.measurements, key=lambda item: (-item.gain, item.indicator.name))
    return replace(quality, measurements=tuple(item for item in ranked if item.gain)[:count])


def badge(quality: Quality | None, title: str) -> Markup:
    """Draw a badge that a registry can show: the points in percent; *title* is what is read out."""
    value = "–" if quality is None else f"{quality.share} %"
    colour = (
        _NO_RECORDS
        if quality is None
        else next(colour for least, colour in _COLOURS if quality.share >= least)
    )
    parts = [
        element("rect", width=104, height=20, rx=3, fill="#444"),
        element("rect", x=54, width=50, height=20, rx=3, fill=colour),
        element(
            "text",
            "quality",
            x=27,
            y=14,
            fill="#fff",
            font_size=11,
            text_anchor="middle",
            font_family="sans-serif",
        ),
        element(
            "text",
            value,
            x=79,
            y=14,
            fill="#fff",
            font_size=11,
            text_anchor="middle",
            font_family="sans-serif",
        ),
    ]
    return svg(104, 20, title, *parts, class_="badge")
