"""The projection of the journal into the search index.

The changed things are read again from the columns, so applying an entry twice changes nothing: after
a crash the index continues from its last commit. The names of organizations are part of the entries
of things in which they take part; if a name changes, these things are read again. Labels of
concepts are stored separately (``topics``), so a changed label only requires reading the
vocabulary.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import structlog

from journal.atomic_file import replace_file
from publisher.projections import position as position_file
from publisher.projections.journal_reader import JournalReader
from publisher.projections.search.document_source import (
    described_things,
    linked_things,
    parse_thing_iri,
    read_entries,
    thing_iris,
)
from publisher.projections.search.index import BUILD_VERSION, IndexWriter, link_files
from publisher.projections.search.searcher import Searcher
from publisher.projections.search.topics import SCHEMES, read_topics, write_topics
from publisher.projections.statement_source import StatementSource

BATCH = 5_000  # things read between two checks of the time: about 1.5 s
COMMIT_INTERVAL = 20.0  # seconds between commits: a crash repeats no more work than that

log = structlog.get_logger(component="text")


@dataclass(frozen=True, slots=True)
class IndexCheckpoint:
    """The last journal entry in the index, and the versions of our format and of tantivy that wrote
    it (*made*).
    """

    position: int = 0
    entry: str = ""
    made: str = ""


def read_index_checkpoint(path: Path) -> IndexCheckpoint:
    """Read the checkpoint in the file *path*; raises OSError, or ValueError if it is damaged."""
    values = json.loads(path.read_text())
    try:
        checkpoint = IndexCheckpoint(**values)
    except TypeError as error:
        raise ValueError(f"it is not a checkpoint: {error}") from error
    if (type(checkpoint.position), type(checkpoint.entry), type(checkpoint.made)) != (
        int,
        str,
        str,
    ):
        raise ValueError("it has a value of a wrong type")
    return checkpoint


class SearchUpdater:
    """The index of the things in *source*, in *folder*; its subfolder ``shown`` has the last
    published state.
    """

    name = "search"
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    snapshot_wait = 0.5

    def __init__(self, folder: Path, reader: JournalReader, source: StatementSource) -> None:
        self.published = folder / "shown"
        self._folder = folder
        self._reader, self._source = reader, source
        self._base = reader.base
        self._index, self._checkpoint_file = folder / "index", folder / "position.json"
        self._committed = self._read_checkpoint()
        if not self.checkpoint:
            self._delete_files()
        self._writer = self._open()
        self._vocabulary = {f"{self._base}scheme/{scheme}" for scheme in SCHEMES}
        self._labels_changed = False

    @property
    def checkpoint(self) -> int:
        """Return the number of the last entry that is committed, 0 if none is."""
        return self._committed.position

    @property
    def position(self) -> int:
        """Return the number of the last journal entry in the published index, -1 if none is
        published.
        """
        return position_file.read_position(self.published)

    @property
    def is_current(self) -> bool:
        """Return whether readers see what is stored."""
        return self.position == self.checkpoint

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Commit the changes up to *position*, the position of the source; yield between batches.

        A new index is built from all things in the source, and so is one of which most would
        change.
        """
        if self.checkpoint and not self._reader.is_mostly_new(self.checkpoint):
            yield from self._apply_entries(position)
            return
        log.info("building search index", position=position)
        self._writer.clear()
        for batch in _batches(thing_iris(self._source, self._base)):
            for document in read_entries(self._source, batch, self._base).values():
                if document:
                    self._writer.add(document)
            yield
        write_topics(self._index, read_topics(self._source, self._base))
        self._commit(IndexCheckpoint(position, entry, BUILD_VERSION))

    def _apply_entries(self, position: int) -> Iterator[None]:
        since, applied = time.monotonic(), self._committed
        before = Searcher(self._index)
        for entry in self._reader.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in entry.changed(BATCH):
                self._labels_changed = self._labels_changed or not self._vocabulary.isdisjoint(
                    changed
                )
                things = described_things(self._source, changed, self._base)
                self._put_all(things)
                yield
                for batch in _batches(self._things_of_renamed(before, things)):
                    self._put_all(batch)
                    yield
            applied = IndexCheckpoint(entry.number, entry.id, BUILD_VERSION)
            if time.monotonic() - since > COMMIT_INTERVAL:
                self._commit_all(applied)
                since, before = time.monotonic(), Searcher(self._index)
        self._commit_all(applied)

    def show(self, seconds: float) -> None:
        """Publish the committed index."""
        part = self._folder / "shown.part"
        self._writer.snapshot(part)
        position_file.write_position(part, self.checkpoint)
        shutil.rmtree(self.published, ignore_errors=True)
        part.rename(self.published)

    def reset(self) -> None:
        """Delete the index, so that it is rebuilt."""
        self._committed, self._labels_changed = IndexCheckpoint(), False
        self._writer.abandon()
        self._delete_files()
        self._writer = self._open()

    def close(self) -> None:
        """Close the index."""
        self._writer.close()

    def _things_of_renamed(self, before: Searcher, changed: Iterable[str]) -> Iterator[str]:
        """Return the things of organizations in *changed* whose name or class differs from
        *before*.

        *before* is the last committed index, so an entry that is applied again after a crash has
        the same result.
        """
        organizations = sorted(
            thing
            for thing in changed
            if (parse_thing_iri(thing, self._base) or [""])[0] == "organization"
        )
        after = read_entries(self._source, organizations, self._base)
        renamed = [
            organization
            for organization, old in zip(organizations, before.entries(organizations), strict=True)
            if old
            and (new := after[organization])
            and (old.titles, old.links) != (new.titles, new.links)
        ]
        return linked_things(self._source, renamed, self._base)

    def _put_all(self, batch: Collection[str]) -> None:
        for thing, document in read_entries(self._source, batch, self._base).items():
            if document:
                self._writer.put(document)
            else:
                self._writer.drop(thing)

    def _commit_all(self, checkpoint: IndexCheckpoint) -> None:
        if self._labels_changed:
            write_topics(self._index, read_topics(self._source, self._base))
        self._commit(checkpoint)
        self._labels_changed = False

    def _commit(self, checkpoint: IndexCheckpoint) -> None:
        self._writer.commit()
        replace_file(self._checkpoint_file, json.dumps(asdict(checkpoint)))
        self._committed = checkpoint

    def _open(self) -> IndexWriter:
        try:
            return IndexWriter(self._index)
        except (ValueError, OSError) as error:
            log.warning("search index cannot be opened; rebuilding", error=str(error))
            self._committed = IndexCheckpoint()
            self._delete_files()
            return IndexWriter(self._index)

    def _read_checkpoint(self) -> IndexCheckpoint:
        try:
            checkpoint = read_index_checkpoint(self._checkpoint_file)
        except (FileNotFoundError, ValueError):
            return IndexCheckpoint()
        is_usable = (self._index / "meta.json").exists() and checkpoint.made == BUILD_VERSION
        return (
            checkpoint
            if is_usable and self._reader.contains(checkpoint.position, checkpoint.entry)
            else IndexCheckpoint()
        )

    def _delete_files(self) -> None:
        self._checkpoint_file.unlink(missing_ok=True)
        for name in ("index", "shown", "shown.part"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _batches(things: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch


def link_published(published: Path, folder: Path) -> int:
    """Link the published index into *folder*; return its position in the journal, -1 if there is
    none.
    """
    position = position_file.read_position(published)
    if position < 0:
        return position
    folder.mkdir(parents=True)
    link_files(published, folder)
    position_file.write_position(folder, position)
    return position
