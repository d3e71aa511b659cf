"""Following: the index goes after the store, entry by entry of the journal, and is shown where it has caught up.

What an entry touches is read anew from the store. So doing it again changes nothing, and an index is whole once it has
been through the journal as far as the store has. Kill it at any point: it goes on where it was last written.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import structlog

from journal.log import Journal
from publisher import position
from publisher.text.index import FORMAT, Writer, link
from publisher.text.told import Quads, entry, records, things, topics, touched

BATCH = 2_000  # things between looks at the clock: some 0.5 s
KEEP = 20.0  # seconds of work after which the index is written, so that a crash does not throw all away

log = structlog.get_logger(room="text")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the index is: *position* and *entry* of the journal, *made* is by which form of ours and which tantivy."""

    position: int = 0
    entry: str = ""
    made: str = ""


_MADE = f"{FORMAT} tantivy-{version('tantivy')} stemmer-{version('PyStemmer')}"


def _at_hand(_: Iterable[str]) -> None:
    """Do nothing: a store of our own need not be told what will be asked of it."""


class Following:
    """Keep the index in *folder* level with a store that follows *journal*; ``shown`` is a folder with the last level state.

    *ahead* is told of which subjects the store will be asked next.
    """

    def __init__(self, folder: Path, journal: Journal, base: str, ahead: Callable[[Iterable[str]], None] = _at_hand) -> None:
        self.shown = folder / "shown"
        self._folder, self._journal, self._base, self._ahead = folder, journal, base, ahead
        self._mark_file = folder / "position.json"
        self.mark = self._read_mark()
        if not self.mark.position:
            self._forget()
        self._writer = self._open()
        self._work: Iterator[None] | None = None

    def step(self, store: Quads, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*, where *store* is; tell whether the index is level with it and shown.

        Where the index cannot be written, it is made anew: the store goes on without it.
        """
        try:
            return self._step(store, position, entry, seconds)
        except (ValueError, OSError) as error:
            log.error("the text index cannot be written; it is made anew", error=str(error))
            self._work, self.mark = None, Mark()
            self._writer.abandon()
            self._forget()
            self._writer = self._open()
            return False

    def _step(self, store: Quads, position: int, entry: str, seconds: float) -> bool:
        until, before = time.monotonic() + seconds, self.mark.position
        while self.mark.position < position:
            if self._work is None:
                self._work = self._change(store, position) if self.mark.position else self._make(store, position, entry)
            if next(self._work, self) is self:
                self._work = None
                if self.mark.position == before:
                    return False
            elif time.monotonic() > until:
                return False
        if self.mark.position == position and self.position != position:
            self._show()
        return self.mark.position == position

    def close(self) -> None:
        """Let the index go."""
        self._work = None
        self._writer.close()

    def _make(self, store: Quads, position: int, entry_id: str) -> Iterator[None]:
        """Make the index from all that the store holds; what changes meanwhile is touched by later entries."""
        log.info("the text index is made", position=position)
        self._writer.clear()
        all_of_them = things(store, self._base)
        while found := list(islice(all_of_them, BATCH)):
            self._ahead(records(found, self._base))
            for thing in found:
                self._put(store, thing)
            yield
        self._keep(Mark(position, entry_id, _MADE))

    def _change(self, store: Quads, position: int) -> Iterator[None]:
        since, mark = time.monotonic(), self.mark
        for it in self._journal.entries(after=mark.position):
            if it.number > position:
                break
            for found in touched(it.lines(), self._base, BATCH):
                self._ahead(found)
                changed = topics(store, found, self._base)
                self._ahead([*changed, *records(changed, self._base)])
                for thing in changed:
                    self._put(store, thing)
                yield
            mark = Mark(it.number, it.id, _MADE)
            if time.monotonic() - since > KEEP:
                self._keep(mark)
                since = time.monotonic()
        self._keep(mark)

    def _put(self, store: Quads, thing: str) -> None:
        found = entry(store, thing, self._base)
        if found:
            self._writer.put(found)
        else:
            self._writer.drop(thing)

    def _keep(self, mark: Mark) -> None:
        self._writer.commit()
        part = self._mark_file.with_suffix(".part")
        with part.open("w") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._mark_file)
        self.mark = mark

    def _show(self) -> None:
        part = self._folder / "shown.part"
        self._writer.snapshot(part)
        position.write(part, self.mark.position)
        shutil.rmtree(self.shown, ignore_errors=True)
        part.rename(self.shown)

    @property
    def position(self) -> int:
        """Give the entry of the journal at which the index that is shown stands, -1 where there is none."""
        return position.read(self.shown)

    def _open(self) -> Writer:
        try:
            return Writer(self._folder / "index")
        except (ValueError, OSError) as error:
            log.warning("the text index cannot be opened; it is made anew", error=str(error))
            self.mark = Mark()
            self._forget()
            return Writer(self._folder / "index")

    def _read_mark(self) -> Mark:
        try:
            mark = Mark(**json.loads(self._mark_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return Mark()
        if not (self._folder / "index" / "meta.json").exists():
            return Mark()
        at = next(iter(self._journal.entries(after=mark.position - 1)), None) if mark.position else None
        return mark if at is not None and at.id == mark.entry and mark.made == _MADE else Mark()

    def _forget(self) -> None:
        self._mark_file.unlink(missing_ok=True)
        for name in ("index", "shown", "shown.part"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


def copy(shown: Path, folder: Path) -> int:
    """Link the index that is shown into *folder*; give its position in the journal, -1 where there is none."""
    found = position.read(shown)
    if found < 0:
        return found
    folder.mkdir(parents=True)
    link(shown, folder)
    position.write(folder, found)
    return found
