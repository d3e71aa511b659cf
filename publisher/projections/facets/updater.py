"""The projection of the journal into the facet tables.

The changed things are read again from the columns, so applying an entry twice changes nothing: after
a crash the tables continue from their last commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import structlog

from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.facets.bitmap_build import BitmapBuild
from publisher.projections.facets.database import BUILD_VERSION, Database
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.record_rows import Graph, create_record
from publisher.projections.facets.thing_rows import (
    ORGANIZATION_PROPERTIES,
    Row,
    organization_row,
    thing_properties,
    thing_row,
)
from publisher.projections.journal_reader import JournalReader
from publisher.projections.position import write_position
from publisher.projections.search.document_source import parse_thing_iri
from publisher.projections.statement_source import StatementSource
from vocab.iris import Iris
from vocab.terms import ORG, PROV, RDF

BATCH = 2_000  # graphs read between two checks of the time: about 0.6 s
FLUSH_INTERVAL = 10  # batches between flushes of new tables to disk

log = structlog.get_logger(component="tables")

_MEMBER = f"{PROV}hadMember"


class FacetUpdater(DatabaseProjection[Database]):
    """The facet tables of the things in *source*, in *folder*; its subfolder ``shown`` has the last
    published state.
    """

    name = "facets"
    snapshot_wait = 2.0

    def __init__(self, folder: Path, reader: JournalReader, source: StatementSource) -> None:
        super().__init__(folder, reader, Database, BUILD_VERSION)
        self._source, self._iris = source, Iris(reader.base)
        self._properties = thing_properties(self._iris)
        self._bitmap_build: BitmapBuild | None = None
        if not self.checkpoint and self._database.has_rows:
            self.reset()

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the position of the source; yield between batches.

        New tables are built from all things in the source, and so are those of which most would
        change.
        """
        if self.checkpoint and self._reader.is_mostly_new(self.checkpoint):
            self._wait_for_bitmaps()
            self._start_over()
        self._database.begin()
        if self.checkpoint:
            yield from self._apply_entries(position)
            return
        log.info("building facet tables", position=position)
        for number, (graphs, organizations) in enumerate(self._all_batches(), 1):
            _, rows = self._read(graphs, organizations)
            self._database.replace((), rows)  # new tables have no rows to replace
            if number % FLUSH_INTERVAL == 0:
                self._database.flush()
            yield
        self._commit(position, entry)

    def _apply_entries(self, position: int) -> Iterator[None]:
        number, identifier, _ = self._database.checkpoint()
        for entry in self._reader.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in entry.changed(BATCH):
                self._database.replace(
                    *self._read(*_records_and_organizations(changed, self._iris))
                )
                yield
            number, identifier = entry.number, entry.id
        self._commit(number, identifier)

    def show(self, seconds: float) -> None:
        """Publish the tables with their bitmaps, which are built in a thread; with a million things
        that takes minutes.
        """
        if self._bitmap_build is None:
            self._bitmap_build = self._start_bitmap_build()
        self._bitmap_build.wait(seconds)
        if not self._bitmap_build.done:
            return
        build, self._bitmap_build = self._bitmap_build, None
        if build.error is not None:
            raise build.error
        self._publish(build.tables.parent)

    def reset(self) -> None:
        """Delete the tables, so that they are rebuilt."""
        self._wait_for_bitmaps()
        super().reset()

    def close(self) -> None:
        """Close the tables."""
        self._wait_for_bitmaps()
        super().close()

    def _wait_for_bitmaps(self) -> None:
        if self._bitmap_build is not None:
            self._bitmap_build.wait()
            self._bitmap_build = None

    def _read(
        self, graphs: Collection[str], organizations: Collection[str]
    ) -> tuple[list[str], list[Row]]:
        """Return the IRIs whose rows are replaced, and the new rows, of some records and
        organizations.
        """
        parties = self._source.subjects(organizations, ORGANIZATION_PROPERTIES)
        iris, rows = (
            list(organizations),
            [
                row
                for name in parties
                if (row := organization_row(Graph(parties), name, self._iris))
            ],
        )
        for graph, subjects in self._source.graphs(graphs, self._properties).items():
            record = create_record(graph, Graph(subjects), self._iris)
            source, _, key = graph.removeprefix(f"{self._iris.base}record/").partition("/")
            # it may have another kind now
            iris += [
                record.thing,
                *(f"{self._iris.base}id/{kind}/{source}/{key}" for kind in _KINDS),
            ]
            if record.kind and record.kind != "organization" and record.state != "gone":
                rows.append(thing_row(record))
        return iris, rows

    def _all_batches(self) -> Iterator[tuple[list[str], list[str]]]:
        """Yield all records and then all organizations of the source, in batches."""
        records = self._source.graph_names(f"{self._iris.base}record/")
        yield from ((graphs, []) for graphs in _batches(records))
        organizations = self._source.subjects_with([f"{RDF}type"], [f"{ORG}Organization"])
        yield from (([], names) for names in _batches(organizations))

    def _pairs(self, predicate: str) -> Iterator[tuple[str, str]]:
        """Yield all subjects of a property, each with its objects that are IRIs."""
        subjects = self._source.subjects(list(self._source.subjects_with([predicate])), [predicate])
        for name, properties in subjects.items():
            yield from ((name, value.text) for value in properties.get(predicate, ()) if value.iri)

    def _commit(self, position: int, entry: str) -> None:
        stem = self._iris.scheme("itu-region") + "/"
        country, region = FACETS["country"], FACETS["region"]
        self._database.set_regions(
            {
                (country.code(one, self._iris), region.code(two, self._iris))
                for one, two in self._pairs(f"{self._iris.ns}ituRegion")
                if two.startswith(stem)
            }
        )
        self._database.set_clusters(
            {
                (member, cluster)
                for cluster, member in self._pairs(_MEMBER)
                if cluster.startswith(self._iris.clusters)
            }
        )
        self._database.commit(position, entry)
        self.checkpoint = position

    def _start_bitmap_build(self) -> BitmapBuild:
        """Copy the tables as they are, and start to build the bitmaps of the copy."""
        part = self._new_part()
        self._database.copy(part / "tables.duckdb")
        write_position(part, self.checkpoint)
        return BitmapBuild(part / "tables.duckdb")


_KINDS = ("initiative", "event", "document", "post")


def _records_and_organizations(changed: Collection[str], iris: Iris) -> tuple[set[str], set[str]]:
    """Return the records and the organizations among the IRIs that an entry changed."""
    records, organizations = set(), set()
    for iri in changed:
        name = iri.partition("#")[0]
        parsed = parse_thing_iri(name, iris.base)
        if parsed and parsed[0] == "organization":
            organizations.add(name)
        elif parsed:
            records.add(f"{iris.base}record/{parsed[1]}/{parsed[2]}")
        elif name.startswith(f"{iris.base}record/"):
            records.add(name)
    return records, organizations


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(names, BATCH)):
        yield batch
