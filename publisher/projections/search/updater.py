"""The projection of the journal into the search index.

The changed things are read again from the columns, so applying an entry twice changes nothing: after
a crash the index continues from its last commit. The names of organizations are part of the entries
of things in which they take part; if a name changes, these things are read again. Labels of
concepts are stored separately (``topics``), so a changed label only requires reading the
vocabulary.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path

import structlog

from publisher.data.properties import PropertyTable, namespaces, published_properties
from publisher.projections.projection import (
    Checkpoint,
    JournalReader,
    Properties,
    StatementSource,
    Subjects,
)
from publisher.projections.search.index import (
    BUILD_VERSION,
    SearchEntry,
    document,
    link_index,
    open_writer,
    ordered_texts,
    parse_thing_iri,
)
from publisher.projections.search.searcher import Searcher
from publisher.projections.search.topics import SCHEMES, read_topics, write_topics
from publisher.rdf.results import Term
from vocab.iris import Iris
from vocab.terms import ORG, RDF, RDFS, SCHEMA, SKOS

BATCH = 5_000  # things read between two checks of the time: about 1.5 s
_NAME, _CLASS, _LABEL = f"{SKOS}prefLabel", f"{ORG}classification", f"{RDFS}label"
_TYPE, _LOCATION = f"{RDF}type", f"{SCHEMA}location"

log = structlog.get_logger(component="text")


class EntryReader:
    """Reads the index entries of things from *source*, whose IRIs begin with *base*."""

    def __init__(
        self, source: StatementSource, base: str, properties: PropertyTable | None = None
    ) -> None:
        self._source, self._base, spaces = source, base, namespaces(Iris(base))
        rows = [(row, row.expand(spaces)) for row in properties or published_properties()]
        self._titles, self._texts, self._links, self._parties, self._places = (
            tuple(iri for row, iri in rows if field in row.search)
            for field in ("title", "text", "link", "party", "place")
        )

    def things(self) -> Iterator[str]:
        """Yield the IRIs of all things of the indexed kinds."""
        return self._only_things(self._source.subjects_with([_TYPE]))

    def linked_things(self, organizations: Collection[str]) -> Iterator[str]:
        """Yield the things in which one of *organizations* takes part."""
        if organizations:
            yield from self._only_things(self._source.subjects_with(self._parties, organizations))

    def _only_things(self, iris: Iterable[str]) -> Iterator[str]:
        return (iri for iri in iris if parse_thing_iri(iri, self._base))

    def entries(self, things: Collection[str]) -> dict[str, SearchEntry | None]:
        """Return the index entries of *things*; None of one that has no type, as of a deleted
        record.
        """
        own = (
            *(_TYPE, *self._titles, *self._texts),
            *(*self._links, *self._parties, *self._places),
        )
        read = self._source.subjects(things, own)
        named = {
            value.value
            for thing in things
            for value in _values(read[thing], (*self._parties, _LOCATION))
            if value.is_iri
        }
        linked = self._source.subjects(named, (_NAME, _CLASS, _LABEL))
        return {thing: self._entry(thing, read[thing], linked) for thing in things}

    def _entry(self, thing: str, properties: Properties, linked: Subjects) -> SearchEntry | None:
        parsed = parse_thing_iri(thing, self._base)
        if parsed is None or not any(value.is_iri for value in properties.get(_TYPE, ())):
            return None
        kind, source, _key = parsed
        parties = [
            linked[value.value] for value in _values(properties, self._parties) if value.is_iri
        ]
        classes = (value for party in parties for value in _values(party, [_CLASS]))
        places = {
            place
            for value in _values(properties, self._places)
            for place in (linked.get(value.value, {}).get(_LABEL, ()) if value.is_iri else (value,))
        }
        return SearchEntry(
            thing,
            kind,
            source,
            ordered_texts(_values(properties, self._titles)),
            ordered_texts(_values(properties, self._texts)),
            tuple(
                sorted({v.value for v in (*_values(properties, self._links), *classes) if v.is_iri})
            ),
            ordered_texts({value for party in parties for value in _values(party, [_NAME])}),
            ordered_texts(places),
        )


def _values(properties: Properties, names: Iterable[str]) -> Iterator[Term]:
    return (value for name in names for value in properties.get(name, ()))


class SearchUpdater:
    """The index of the things in *source*, in *folder*."""

    name, subfolder = "search", "text"
    # The library tantivy raises ValueError.
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    snapshot_wait = 0.5

    def __init__(self, folder: Path, reader: JournalReader, source: StatementSource) -> None:
        self._folder, self._index = folder, folder / "index"
        self._checkpoint_file = folder / "position.json"
        self._reader, self._source = reader, source
        self._entries = EntryReader(source, reader.base)
        try:
            (self._index / "meta.json").stat()
            checkpoint = Checkpoint.read(self._checkpoint_file)
            is_ours = reader.contains(checkpoint.position, checkpoint.entry)
            if checkpoint.version != BUILD_VERSION or not is_ours:
                raise ValueError("it is of another version or another journal")
            self._writer, self._committed = open_writer(self._index), checkpoint
        except self.errors as error:
            log.info("no usable search index; building it", reason=str(error))
            self._start_over()

    @property
    def checkpoint(self) -> int:
        """Return the number of the last entry that is committed, 0 if none is."""
        return self._committed.position

    def is_at(self, position: int) -> bool:
        return self.checkpoint == position

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Commit the changes up to *position*, the position of the source; yield between batches.

        A new index is built from all things in the source, and so is one of which most would
        change.
        """
        if self.checkpoint and not self._reader.is_mostly_new(self.checkpoint):
            is_vocabulary_new = yield from self._apply_entries(position)
        else:
            is_vocabulary_new = True
            log.info("building search index", position=position)
            self._writer.delete_all_documents()
            for batch in _batches(self._entries.things()):
                self._put(batch)
                yield
        if is_vocabulary_new:
            write_topics(self._index, read_topics(self._source, self._reader.base))
        self._writer.commit()
        self._committed = Checkpoint(position, entry, BUILD_VERSION)
        self._committed.write(self._checkpoint_file)

    def _apply_entries(self, position: int) -> Generator[None, None, bool]:
        """Change the index by the entries up to *position*; return whether the vocabulary changes."""
        vocabulary = {f"{self._reader.base}scheme/{scheme}" for scheme in SCHEMES}
        is_vocabulary_new = False
        before = Searcher(self._index)
        for entry in self._reader.journal.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in map(set, _batches(self._reader.changed(entry))):
                is_vocabulary_new = is_vocabulary_new or not vocabulary.isdisjoint(changed)
                things = [iri for iri in changed if iri.startswith(f"{self._reader.base}id/")]
                self._put(things)
                yield
                for batch in _batches(self._things_of_renamed(before, things)):
                    self._put(batch)
                    yield
        return is_vocabulary_new

    def _things_of_renamed(self, before: Searcher, changed: Iterable[str]) -> Iterator[str]:
        """Return the things of organizations in *changed* whose name or class differs from
        *before*.

        *before* is the last committed index, so an entry that is applied again after a crash has
        the same result.
        """
        prefix = f"{self._reader.base}id/organization/"
        organizations = sorted(thing for thing in changed if thing.startswith(prefix))
        after = self._entries.entries(organizations)
        renamed = [
            thing
            for thing, old in zip(organizations, before.entries(organizations), strict=True)
            if old and (new := after[thing]) and (old.titles, old.links) != (new.titles, new.links)
        ]
        return self._entries.linked_things(renamed)

    def _put(self, batch: Collection[str]) -> None:
        for thing, entry in self._entries.entries(batch).items():
            self._writer.delete_documents_by_term("thing", thing)
            if entry:
                self._writer.add_document(document(entry))

    def write(self, folder: Path) -> None:
        link_index(self._index, folder)

    def reset(self) -> None:
        self.close()
        self._start_over()

    def close(self) -> None:
        """Close the index; what was not committed is lost."""
        del self._writer

    def _start_over(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._committed = Checkpoint(0, "")
        self._writer = open_writer(self._index)


def _batches(things: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch
