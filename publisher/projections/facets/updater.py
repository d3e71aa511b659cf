"""The projection of the journal into the facet tables.

The changed things are read again from the store, so applying an entry twice changes nothing: after
a crash the tables continue from their last commit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import structlog
from pyoxigraph import DefaultGraph, NamedNode

from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.facets.bitmap_build import BitmapBuild
from publisher.projections.facets.database import BUILD_VERSION, Database
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.graph_reader import read_graphs, sorted_lines
from publisher.projections.facets.record_rows import Graph, create_record, parse_graph
from publisher.projections.facets.thing_rows import (
    Row,
    organization_row,
    thing_properties,
    thing_row,
)
from publisher.projections.journal_reader import JournalReader
from publisher.projections.position import write_position
from publisher.projections.quad_source import QuadSource
from publisher.projections.search.document_source import parse_thing_iri
from vocab.iris import Iris
from vocab.terms import ORG, PROV, RDF

BATCH = 2_000  # graphs read between two checks of the time: about 0.6 s
FLUSH_INTERVAL = 10  # batches between flushes of new tables to disk

log = structlog.get_logger(component="tables")

_TYPE, _ORGANIZATION = NamedNode(f"{RDF}type"), NamedNode(f"{ORG}Organization")
_DEFAULT_GRAPH = DefaultGraph()
_MEMBER = NamedNode(f"{PROV}hadMember")


class FacetUpdater(DatabaseProjection[Database]):
    """The facet tables in *folder*; its subfolder ``shown`` has the last published state.

    *expect* is called with the graphs and subjects that are read next, so that a remote store can
    fetch them in one query.
    """

    name = "facets"
    snapshot_wait = 2.0

    def __init__(
        self,
        folder: Path,
        reader: JournalReader,
        expect: Callable[[Collection[str], Collection[str]], None] = lambda graphs, subjects: None,
    ) -> None:
        super().__init__(folder, reader, Database, BUILD_VERSION)
        self._expect, self._iris = expect, Iris(reader.base)
        self._properties = thing_properties(self._iris)
        self._bitmap_build: BitmapBuild | None = None
        if not self.checkpoint and self._database.has_rows:
            self.reset()

    def advance(self, source: QuadSource, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the position of *source*; yield between batches.

        New tables are built from all things in *source*.
        """
        self._database.begin()
        if self.checkpoint:
            yield from self._apply_entries(source, position)
            return
        log.info("building facet tables", position=position)
        for number, (graphs, organizations) in enumerate(_all_batches(source, self._iris.base), 1):
            _, rows = self._read(source, graphs, organizations)
            self._database.replace((), rows)  # new tables have no rows to replace
            if number % FLUSH_INTERVAL == 0:
                self._database.flush()
            yield
        self._commit(source, position, entry)

    def _apply_entries(self, source: QuadSource, position: int) -> Iterator[None]:
        number, identifier, _ = self._database.checkpoint()
        for entry in self._reader.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in entry.changed(BATCH):
                self._replace(source, *_records_and_organizations(changed, self._iris))
                yield
            number, identifier = entry.number, entry.id
        self._commit(source, number, identifier)

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

    def _replace(
        self, store: QuadSource, graphs: Collection[str], organizations: Collection[str]
    ) -> None:
        self._database.replace(*self._read(store, graphs, organizations))

    def _read(
        self, store: QuadSource, graphs: Collection[str], organizations: Collection[str]
    ) -> tuple[list[str], list[Row]]:
        """Return the IRIs whose rows are replaced, and the new rows, of some records and
        organizations.
        """
        self._expect(graphs, organizations)
        iris, rows = (
            list(organizations),
            [row for name in organizations if (row := self._organization(store, name))],
        )
        for graph, statements in read_graphs(store, graphs, self._properties):
            record = create_record(graph, statements, self._iris)
            source, _, key = graph.removeprefix(f"{self._iris.base}record/").partition("/")
            # it may have another kind now
            iris += [
                record.thing,
                *(f"{self._iris.base}id/{kind}/{source}/{key}" for kind in _KINDS),
            ]
            if record.kind and record.kind != "organization" and record.state != "gone":
                rows.append(thing_row(record))
        return iris, rows

    def _organization(self, store: QuadSource, name: str) -> Row | None:
        quads = store.quads_for_pattern(NamedNode(name), None, None, _DEFAULT_GRAPH)
        graph: Graph = parse_graph(sorted_lines(quads))
        return organization_row(graph, name, self._iris)

    def _commit(self, store: QuadSource, position: int, entry: str) -> None:
        stem = self._iris.scheme("itu-region") + "/"
        member = NamedNode(f"{self._iris.ns}ituRegion")
        pairs = (
            (quad.subject, quad.object)
            for quad in store.quads_for_pattern(None, member, None, _DEFAULT_GRAPH)
        )
        named = (
            (area.value, region.value)
            for area, region in pairs
            if isinstance(area, NamedNode) and isinstance(region, NamedNode)
        )
        country, region = FACETS["country"], FACETS["region"]
        self._database.set_regions(
            {
                (country.code(one, self._iris), region.code(two, self._iris))
                for one, two in named
                if two.startswith(stem)
            }
        )
        self._database.set_clusters(set(_members(store, self._iris)))
        self._database.commit(position, entry)
        self.checkpoint = position

    def _start_bitmap_build(self) -> BitmapBuild:
        """Copy the tables as they are, and start to build the bitmaps of the copy."""
        part = self._new_part()
        self._database.copy(part / "tables.duckdb")
        write_position(part, self.checkpoint)
        return BitmapBuild(part / "tables.duckdb")


_KINDS = ("initiative", "event", "document", "post")


def _members(store: QuadSource, iris: Iris) -> Iterator[tuple[str, str]]:
    """Yield the members of clusters, each with its cluster."""
    for quad in store.quads_for_pattern(None, _MEMBER, None, _DEFAULT_GRAPH):
        if (
            isinstance(quad.subject, NamedNode)
            and isinstance(quad.object, NamedNode)
            and quad.subject.value.startswith(iris.clusters)
        ):
            yield quad.object.value, quad.subject.value


def _all_batches(store: QuadSource, base: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield all records and then all organizations of a store, in batches."""
    yield from ((graphs, []) for graphs in _batches(_records(store, base)))
    yield from (([], names) for names in _batches(_organizations(store)))


def _records(store: QuadSource, base: str) -> Iterator[str]:
    start = f"{base}record/"
    return (
        graph.value
        for graph in store.named_graphs()
        if isinstance(graph, NamedNode) and graph.value.startswith(start)
    )


def _organizations(store: QuadSource) -> Iterator[str]:
    quads = store.quads_for_pattern(None, _TYPE, _ORGANIZATION, _DEFAULT_GRAPH)
    return (quad.subject.value for quad in quads if isinstance(quad.subject, NamedNode))


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
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
