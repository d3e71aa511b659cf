"""Following: the index goes after the store, entry by entry of the journal, and is shown where it has caught up.

What an entry touches is read anew from the store. So doing it again changes nothing, and an index is whole once it has
been through the journal as far as the store has. Kill it at any point: it goes on where it was last written.

A thing is looked up by the names of the organizations that take part in it: where such a name changes, the things are read again. The
labels of concepts are kept apart (``topics``), so that a changed label costs no more than reading the vocabulary.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import structlog

from journal.journal import Journal
from publisher.rdf import position
from publisher.search.document_source import (
    Organization,
    QuadSource,
    changed_subjects,
    described_things,
    linked_things,
    organizations_of,
    parse_thing_iri,
    read_entry,
    record_iris,
    thing_iris,
)
from publisher.search.index import BUILD_VERSION, Writer, is_current, link_files
from publisher.search.searcher import Searcher
from publisher.search.topics import graph_endings, read_topics, write_topics

BATCH = 2_000  # things between looks at the clock: some 0.5 s
COMMIT_INTERVAL = 20.0  # seconds of work after which the index is written, so that a crash does not throw all away

log = structlog.get_logger(room="text")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the index is: *position* and *entry* of the journal, *made* is by which form of ours and which tantivy."""

    position: int = 0
    entry: str = ""
    made: str = ""


class SearchUpdater:
    """Keep the index in *folder* level with a store that follows *journal*; ``shown`` is a folder with the last level state.

    *ahead* is called with the subjects that the store will be asked for next; None for a store of our own, where that saves nothing.
    """

    def __init__(self, folder: Path, journal: Journal, base: str, ahead: Callable[[Iterable[str]], None] | None = None) -> None:
        self.shown = folder / "shown"
        self._folder, self._journal, self._base, self._ahead = folder, journal, base, ahead
        self._index, self._checkpoint_file = folder / "index", folder / "position.json"
        self.checkpoint = self._read_checkpoint()
        if not self.checkpoint.position:
            self._reset()
        self._writer = self._open()
        self._work: Iterator[None] | None = None
        self._scheme_graphs = graph_endings(base)
        self._labels_changed = False

    def step(self, store: QuadSource, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*, where *store* is; tell whether the index is level with it and shown.

        Where the index cannot be written, it is made anew: the store goes on without it.
        """
        try:
            return self._step(store, position, entry, seconds)
        except (ValueError, OSError) as error:
            log.error("search index cannot be written; rebuilding", error=str(error))
            self._work, self.checkpoint, self._labels_changed = None, Checkpoint(), False
            self._writer.abandon()
            self._reset()
            self._writer = self._open()
            return False

    def _step(self, store: QuadSource, position: int, entry: str, seconds: float) -> bool:
        until, before = time.monotonic() + seconds, self.checkpoint.position
        while self.checkpoint.position < position:
            if self._work is None:
                self._work = self._change(store, position) if self.checkpoint.position else self._build(store, position, entry)
            if next(self._work, self) is self:
                self._work = None
                if self.checkpoint.position == before:
                    return False
            elif time.monotonic() > until:
                return False
        if self.checkpoint.position == position and self.position != position:
            self._show()
        return self.checkpoint.position == position

    def close(self) -> None:
        """Let the index go."""
        self._work = None
        self._writer.close()

    def _build(self, store: QuadSource, position: int, entry_id: str) -> Iterator[None]:
        """Make the index from all that the store holds; what changes meanwhile is touched by later entries."""
        log.info("search index ready", position=position)
        self._writer.clear()
        all_of_them = thing_iris(store, self._base)
        while found := list(islice(all_of_them, BATCH)):
            self._put_all(store, found)
            yield
        write_topics(self._index, read_topics(store, self._base))
        self._commit(Checkpoint(position, entry_id, BUILD_VERSION))

    def _change(self, store: QuadSource, position: int) -> Iterator[None]:
        since, mark = time.monotonic(), self.checkpoint
        before = Searcher(self._index)
        for it in self._journal.entries(after=mark.position):
            if it.number > position:
                break
            for found in changed_subjects(self._watch_vocabulary(it.lines()), self._base, BATCH):
                self._prefetch(found)
                changed = described_things(store, found, self._base)
                self._put_all(store, changed)
                yield
                for batch in _batches(self._things_of_renamed(store, before, changed)):
                    self._put_all(store, batch)
                    yield
            mark = Checkpoint(it.number, it.id, BUILD_VERSION)
            if time.monotonic() - since > COMMIT_INTERVAL:
                self._commit_all(store, mark)
                since, before = time.monotonic(), Searcher(self._index)
        self._commit_all(store, mark)

    def _watch_vocabulary(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield *lines*, and note whether one of them changes the vocabulary."""
        for line in lines:
            if line.endswith(self._scheme_graphs):
                self._labels_changed = True
            yield line

    def _things_of_renamed(self, store: QuadSource, before: Searcher, changed: Iterable[str]) -> set[str]:
        """Return the things that are to be read again, since an organization among *changed* has another name or class than *before*.

        *before* is what was committed last. So an entry that is done again after a crash finds the same difference, or none where the
        things were committed with it.
        """
        organizations = sorted(thing for thing in changed if (parse_thing_iri(thing, self._base) or [""])[0] == "organization")
        renamed: set[str] = set()
        for organization, known in zip(organizations, before.entries(organizations), strict=True):
            now = read_entry(store, organization, self._base) if known else None
            if known and now and (known.titles, known.links) != (now.titles, now.links):
                renamed.update(linked_things(store, organization, self._base))
        return renamed

    def _put_all(self, store: QuadSource, batch: Collection[str]) -> None:
        self._prefetch([*batch, *record_iris(batch, self._base)])
        if self._ahead:
            self._prefetch(organizations_of(store, batch, self._base))
        organizations: dict[str, Organization] = {}
        for thing in batch:
            if found := read_entry(store, thing, self._base, organizations):
                self._writer.put(found)
            else:
                self._writer.drop(thing)

    def _prefetch(self, subjects: Iterable[str]) -> None:
        if self._ahead:
            self._ahead(subjects)

    def _commit_all(self, store: QuadSource, mark: Checkpoint) -> None:
        if self._labels_changed:
            write_topics(self._index, read_topics(store, self._base))
        self._commit(mark)
        self._labels_changed = False

    def _commit(self, mark: Checkpoint) -> None:
        self._writer.commit()
        part = self._checkpoint_file.with_suffix(".part")
        with part.open("w") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._checkpoint_file)
        self.checkpoint = mark

    def _show(self) -> None:
        part = self._folder / "shown.part"
        self._writer.snapshot(part)
        position.write_position(part, self.checkpoint.position)
        shutil.rmtree(self.shown, ignore_errors=True)
        part.rename(self.shown)

    @property
    def position(self) -> int:
        """Give the entry of the journal at which the index that is shown stands, -1 where there is none."""
        return position.read_position(self.shown)

    def is_shown_in(self, snapshot: str) -> bool:
        """Return whether the snapshot in the folder *snapshot* has the index as it is shown now, in today's format."""
        folder = Path(snapshot) / "text"
        return position.read_position(folder) == self.position and (self.position < 0 or is_current(folder))

    def _open(self) -> Writer:
        try:
            return Writer(self._index)
        except (ValueError, OSError) as error:
            log.warning("search index cannot be opened; rebuilding", error=str(error))
            self.checkpoint = Checkpoint()
            self._reset()
            return Writer(self._index)

    def _read_checkpoint(self) -> Checkpoint:
        try:
            mark = Checkpoint(**json.loads(self._checkpoint_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return Checkpoint()
        if not (self._index / "meta.json").exists():
            return Checkpoint()
        at = next(iter(self._journal.entries(after=mark.position - 1)), None) if mark.position else None
        return mark if at is not None and at.id == mark.entry and mark.made == BUILD_VERSION else Checkpoint()

    def _reset(self) -> None:
        self._checkpoint_file.unlink(missing_ok=True)
        for name in ("index", "shown", "shown.part"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _batches(found: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        yield batch


def link_published(shown: Path, folder: Path) -> int:
    """Link the index that is shown into *folder*; give its position in the journal, -1 where there is none."""
    found = position.read_position(shown)
    if found < 0:
        return found
    folder.mkdir(parents=True)
    link_files(shown, folder)
    position.write_position(folder, found)
    return found
