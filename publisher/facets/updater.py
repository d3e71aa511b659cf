"""Following: the tables go after the store, entry by entry of the journal, and are shown where they have caught up.

What an entry touches is read anew from the store. So doing it again changes nothing. Kill it at any point: it goes on
where it was last kept.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import duckdb
import structlog
from pyoxigraph import DefaultGraph, NamedNode

from journal.journal import Journal
from publisher.facets.bitmap_build import BitmapBuild
from publisher.facets.database import BUILD_VERSION, Database
from publisher.facets.facets import FACETS
from publisher.facets.record_rows import Graph, parse_graph, parse_record
from publisher.facets.thing_rows import Row, organization_row, thing_row
from publisher.rdf import position
from publisher.search.document_source import QuadSource, changed_subjects, parse_thing_iri
from vocab.iris import Iris
from vocab.terms import ORG, RDF, SKOS

BATCH = 2_000  # graphs between looks at the clock: some 0.6 s
WRITTEN = 10  # batches after which tables that are made go to the disk

log = structlog.get_logger(room="tables")

_TYPE, _ORGANIZATION, _MATCH = NamedNode(f"{RDF}type"), NamedNode(f"{ORG}Organization"), NamedNode(f"{SKOS}broadMatch")
_DEFAULT_GRAPH = DefaultGraph()


class FacetUpdater:
    """Keep the tables in *folder* level with a store that follows *journal*; ``shown`` is a folder with the last level state.

    A store that is asked over the network is told by *expect* which graphs and which subjects will be read next.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        base: str,
        expect: Callable[[Collection[str], Collection[str]], None] = lambda graphs, subjects: None,
    ) -> None:
        self.shown, self._expect = folder / "shown", expect
        self._folder, self._journal, self._iris = folder, journal, Iris(base)
        self._database = self._open()
        self.checkpoint = self._read_checkpoint()
        if not self.checkpoint and self._database.has_rows:
            self._reset()
        self._work: Iterator[int] | None = None
        self._bitmap_build: BitmapBuild | None = None

    def step(self, store: QuadSource, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*, where *store* is; tell whether the tables are level with it and shown.

        Where they cannot be written, they are made anew: the store goes on without them.
        """
        try:
            return self._step(store, position, entry, seconds)
        except (duckdb.Error, OSError) as error:
            log.error("facet index cannot be written; rebuilding", error=str(error))
            self._work, self.checkpoint = None, 0
            if self._bitmap_build is not None:
                self._bitmap_build.wait()
                self._bitmap_build = None
            self._reset()
            return False

    def _step(self, store: QuadSource, position: int, entry: str, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.checkpoint < position:
            if self._work is None:
                self._work = self._change(store, position) if self.checkpoint else self._build(store, position, entry)
            done = next(self._work)
            if done:
                self.checkpoint, self._work = done, None
            elif time.monotonic() > until:
                return False
        if self.checkpoint == position and self.position != position and self._bitmap_build is None:
            self._bitmap_build = self._start_bitmap_build()
        if self._bitmap_build is not None:
            self._bitmap_build.wait(max(0.0, until - time.monotonic()))
            if not self._bitmap_build.done:
                return False
            self._show(self._bitmap_build)
        return self.position == position

    @property
    def position(self) -> int:
        """Give the entry of the journal at which the tables that are shown stand, -1 where there are none."""
        return position.read_position(self.shown)

    def close(self) -> None:
        """Let the tables go."""
        self._work = None
        if self._bitmap_build is not None:
            self._bitmap_build.wait()
            self._bitmap_build = None
        self._database.close()

    def _build(self, store: QuadSource, position: int, entry: str) -> Iterator[int]:
        """Make the tables from all that the store holds; what changes meanwhile is touched by later entries."""
        log.info("facet index ready", position=position)
        self._database.begin()
        for number, (graphs, organizations) in enumerate(_all_batches(store, self._iris.base), 1):
            _, rows = self._read(store, graphs, organizations)
            self._database.replace((), rows)  # nothing of it is there
            if number % WRITTEN == 0:
                self._database.flush()
            yield 0
        self._commit(store, position, entry)
        yield position

    def _change(self, store: QuadSource, position: int) -> Iterator[int]:
        at, entry = self.checkpoint, ""
        self._database.begin()
        for it in self._journal.entries(after=self.checkpoint):
            if it.number > position:
                break
            for found in changed_subjects(it.lines(), self._iris.base, BATCH):
                self._replace(store, *_records_and_organizations(found, self._iris))
                yield 0
            at, entry = it.number, it.id
        self._commit(store, at, entry)
        yield at

    def _replace(self, store: QuadSource, graphs: Collection[str], organizations: Collection[str]) -> None:
        self._database.replace(*self._read(store, graphs, organizations))

    def _read(self, store: QuadSource, graphs: Collection[str], organizations: Collection[str]) -> tuple[list[str], list[Row]]:
        """Read what records and organizations tell: the addresses that it concerns, and the rows of what is there."""
        self._expect(graphs, organizations)
        iris, rows = list(organizations), [row for name in organizations if (row := self._organization(store, name))]
        for graph in graphs:
            it = parse_record(graph, _read_lines(store, None, NamedNode(graph)), self._iris)
            source, _, key = graph.removeprefix(f"{self._iris.base}record/").partition("/")
            iris += [it.thing, *(f"{self._iris.base}id/{kind}/{source}/{key}" for kind in _KINDS)]  # a record may have changed its kind
            if it.kind and it.kind != "organization" and it.state != "gone":
                rows.append(thing_row(it))
        return iris, rows

    def _organization(self, store: QuadSource, name: str) -> Row | None:
        held: Graph = parse_graph(_read_lines(store, NamedNode(name), _DEFAULT_GRAPH))
        return organization_row(held, name, self._iris)

    def _commit(self, store: QuadSource, position: int, entry: str) -> None:
        stem = self._iris.scheme("itu-region") + "/"
        pairs = ((quad.subject, quad.object) for quad in store.quads_for_pattern(None, _MATCH, None, _DEFAULT_GRAPH))
        named = ((area.value, region.value) for area, region in pairs if isinstance(area, NamedNode) and isinstance(region, NamedNode))
        country, region = FACETS["country"], FACETS["region"]
        self._database.set_regions(
            {(country.code(one, self._iris), region.code(two, self._iris)) for one, two in named if two.startswith(stem)}
        )
        self._database.commit(position, entry)

    def _start_bitmap_build(self) -> BitmapBuild:
        """Copy the tables as they are, and prepare the copy aside: on a million things that takes longer than an entry may wait."""
        part = self._folder / "shown.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        self._database.copy(part / "tables.duckdb")
        position.write_position(part, self.checkpoint)
        return BitmapBuild(part / "tables.duckdb")

    def _show(self, prepared: BitmapBuild) -> None:
        self._bitmap_build = None
        if prepared.error is not None:
            raise prepared.error
        shutil.rmtree(self.shown, ignore_errors=True)
        prepared.tables.parent.rename(self.shown)

    def _read_checkpoint(self) -> int:
        number, entry, made = self._database.checkpoint()
        at = next(iter(self._journal.entries(after=number - 1)), None) if number else None
        return number if at is not None and at.id == entry and made == BUILD_VERSION else 0

    def _open(self) -> Database:
        try:
            return Database(self._folder / "work.duckdb")
        except duckdb.Error as error:
            log.warning("facet index cannot be opened; rebuilding", error=str(error))
            shutil.rmtree(self._folder, ignore_errors=True)
            return Database(self._folder / "work.duckdb")

    def _reset(self) -> None:
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._database = Database(self._folder / "work.duckdb")


_KINDS = ("initiative", "event", "document", "post")


def _all_batches(store: QuadSource, base: str) -> Iterator[tuple[list[str], list[str]]]:
    """Give all records and then all organizations of a store, in batches."""
    yield from ((graphs, []) for graphs in _batches(_records(store, base)))
    yield from (([], names) for names in _batches(_organizations(store)))


def _records(store: QuadSource, base: str) -> Iterator[str]:
    start = f"{base}record/"
    return (graph.value for graph in store.named_graphs() if isinstance(graph, NamedNode) and graph.value.startswith(start))


def _organizations(store: QuadSource) -> Iterator[str]:
    found = store.quads_for_pattern(None, _TYPE, _ORGANIZATION, _DEFAULT_GRAPH)
    return (quad.subject.value for quad in found if isinstance(quad.subject, NamedNode))


def _records_and_organizations(found: Collection[str], iris: Iris) -> tuple[set[str], set[str]]:
    """Give the records and the organizations among what an entry touched."""
    records, organizations = set(), set()
    for iri in found:
        name = iri.partition("#")[0]
        ours = parse_thing_iri(name, iris.base)
        if ours and ours[0] == "organization":
            organizations.add(name)
        elif ours:
            records.add(f"{iris.base}record/{ours[1]}/{ours[2]}")
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


def _read_lines(store: QuadSource, subject: NamedNode | None, graph: NamedNode | DefaultGraph) -> list[bytes]:
    return sorted(str(quad.triple).encode() for quad in store.quads_for_pattern(subject, None, None, graph))


def link_published(shown: Path, folder: Path) -> int:
    """Link the tables that are shown into *folder*; give their position in the journal, -1 where there are none."""
    found = position.read_position(shown)
    if found < 0:
        return found
    folder.mkdir(parents=True)
    for file in shown.iterdir():
        os.link(file, folder / file.name)
    return found
