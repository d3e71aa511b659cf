"""Registries compared: freshness, last run, and completeness and remarks of the records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from publisher.portal.data_table import Column, DataTable
from publisher.projections.facets.filter_query import coverage_by_source, make_filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from publisher.rdf.results import Row
from publisher.store.source_status import SourceStatus
from vocab.iris import Iris
from vocab.terms import DCT

ENTITIES = "http://rdfs.org/ns/void#entities"
# facets whose completeness is counted
COVERED_FACETS = ("line", "goal", "country", "year", "remark")


class Registry(NamedTuple):
    """A registry: *things* is its number of published things, *filled* how many have each facet of
    FILLED, *state* is its freshness.
    """

    name: str
    title: str
    row: Row
    source_status: SourceStatus | None
    state: str
    things: ThingCount
    filled: Mapping[str, ThingCount]

    def share(self, facet: str) -> int | None:
        """Return the share of its things that have a value of a facet, in percent; None if it has
        no things.
        """
        return round(100 * self.filled.get(facet, NONE) / self.things) if self.things else None


def list_registries(
    rows: list[Row],
    source_statuses: Mapping[str, SourceStatus],
    tables: FacetIndex | None,
    iris: Iris,
    at: datetime,
) -> list[Registry]:
    """Return all registries, sorted by title; without *tables* there are no counts."""
    every = make_filter(kind="initiative")
    counts = tables.counts_once(every).get("source", {}) if tables else {}
    full = (
        {facet: tables.coverage_by_source(every, facet) for facet in COVERED_FACETS}
        if tables
        else {}
    )
    start, registries = iris.source(""), dict[str, Registry]()
    for row in rows:
        name = row["source"].value.removeprefix(start)
        source_status = source_statuses.get(name)
        state = source_status.state(at).value if source_status else ""
        coverage = {facet: numbers.get(name, NONE) for facet, numbers in full.items()}
        if name not in registries or row["title"].language == "en":
            registries[name] = Registry(
                name,
                row["title"].value,
                row,
                source_status,
                state,
                counts.get(name, NONE),
                coverage,
            )
    return sorted(registries.values(), key=lambda registry: registry.title.lower())


def registry_table(registries: list[Registry], iris: Iris, tables: FacetIndex | None) -> DataTable:
    """Return registries as rows."""
    rows = tuple(
        (
            iris.source(item.name),
            item.title,
            item.state or None,
            item.things,
            *(item.filled.get(facet, NONE) for facet in COVERED_FACETS),
        )
        for item in registries
    )
    columns = (
        Column("source"),
        Column("title", property=f"{DCT}title"),
        Column("freshness"),
        Column("initiatives", property=ENTITIES),
        *(Column(f"with_{facet}") for facet in COVERED_FACETS),
    )
    return DataTable(
        "registries",
        "Registries",
        columns,
        rows,
        coverage_by_source(
            make_filter(kind="initiative"),
            "remark",
            iris,
            has_parts=tables is not None and tables.has_parts,
        ),
        is_observation=False,
    )
