"""The projection of the journal into the vectors of things, by which a search also finds what has
the same meaning.

Texts are embedded in batches, which are committed one by one: after a crash the texts that have a
vector are not embedded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import structlog

from languages.embedding import ModelError, embed
from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.journal_reader import JournalReader
from publisher.projections.position import write_position
from publisher.projections.search.document_source import (
    described_things,
    parse_thing_iri,
    read_entries,
    thing_iris,
)
from publisher.projections.search.index import SearchEntry
from publisher.projections.search.vector_database import BUILD_VERSION, VectorDatabase
from publisher.projections.statement_source import StatementSource

LONGEST = 200  # characters of title and description that are embedded: about 30 ms of a core
_BATCH = 16  # texts between two checks of the time: about 0.5 s
_READ = 2_000  # things that are read together
_NAMES_ONLY = "organization"  # a kind whose texts are names, which have no meaning to search for

log = structlog.get_logger(component="vectors")


class VectorUpdater(DatabaseProjection[VectorDatabase]):
    """The vectors of the things in *source*, in *folder*; its subfolder ``shown`` has the last
    published state.
    """

    name = "vectors"
    snapshot_wait = 0.0
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError, ModelError)

    def __init__(self, folder: Path, reader: JournalReader, source: StatementSource) -> None:
        super().__init__(folder, reader, VectorDatabase, BUILD_VERSION)
        self._source, self._base = source, reader.base

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the vectors of what changed up to *position*, the position of the source; yield
        between batches.
        """
        if self.checkpoint:
            for decoded in self._reader.entries(self.checkpoint):
                if decoded.number > position:
                    break
                for changed in decoded.changed(_READ):
                    things = described_things(self._source, changed, self._base)
                    yield from self._put_all(sorted(things), position)
        else:
            log.info("embedding texts", position=position)
            yield from self._put_all(thing_iris(self._source, self._base), position)
            self._database.drop_unneeded(position)
        self._database.commit(position, entry)
        self.checkpoint = position

    def show(self, seconds: float) -> None:
        """Publish the vectors."""
        part = self._new_part()
        self._database.write_files(part)
        write_position(part, self.checkpoint)
        self._publish(part)

    def _put_all(self, things: Iterable[str], position: int) -> Iterator[None]:
        rest = (
            thing
            for thing in things
            if (parse_thing_iri(thing, self._base) or [_NAMES_ONLY])[0] != _NAMES_ONLY
        )
        while read := list(islice(rest, _READ)):
            entries = iter(read_entries(self._source, read, self._base).items())
            while batch := dict(islice(entries, _BATCH)):
                self._put(batch, position)
                yield

    def _put(self, entries: dict[str, SearchEntry | None], position: int) -> None:
        """Store the vectors of the things in *entries*, and drop those of things without texts."""
        texts = {
            thing: text
            for thing, entry in entries.items()
            if entry and (text := embedded_text(entry))[0]
        }
        digests = {
            thing: hashlib.sha256("\n".join(text).encode(errors="replace")).digest()
            for thing, text in texts.items()
        }
        same = self._database.mark_needed(list(digests.items()), position) if digests else set()
        if new := [thing for thing in texts if thing not in same]:
            rows = [(thing, digests[thing], texts[thing][1]) for thing in new]
            self._database.put(rows, embed([texts[thing][0] for thing in new]), position)
        if gone := [thing for thing in entries if thing not in texts]:
            self._database.drop(gone)


def embedded_text(entry: SearchEntry) -> tuple[str, str]:
    """Return the title and the beginning of the description of a thing in one of its languages, and
    the language; "" if it has none.
    """
    title, tag = next(
        ((text, tag) for text, tag in entry.titles if text.strip()),
        ("", entry.texts[0][1] if entry.texts else None),
    )
    text = next((text for text, other in entry.texts if other == tag and text.strip()), "")
    return "\n".join(part for part in (title, text) if part)[:LONGEST].strip(), (
        tag or ""
    ).partition("-")[0].lower()
