"""The search index, by tantivy (https://github.com/quickwit-oss/tantivy-py); one document for each
thing.

Its files never change after they are written, so a snapshot is a folder of hard links to them.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote

import orjson
import tantivy

from publisher.projections.search.analyzer import primary_language, tokenize
from vocab.iris import KINDS

FORMAT = 4  # increase it with every change of what is written, so that the index is rebuilt
_HEAP = 30_000_000  # maximum bytes of unwritten documents
TOPICS = "topics.json"  # file with the labels of concepts, in the folder of tantivy's files
BUILD_VERSION = (
    # an index of another version cannot be searched
    f"{FORMAT} tantivy-{version('tantivy')} stemmer-{version('PyStemmer')}"
)
_VERSION_FILE = "made"
_MAX_ATTEMPTS = 20  # to link the files, since a merge may remove some meanwhile

Texts = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """The indexed data of a thing: texts with their language tags; *modified* is in seconds since
    1970, 0 if unknown.

    *links* are the IRIs of the concepts that the thing is linked to, *parties* the names of the
    organizations that take part in it, *places* the names of its places and venue.
    """

    thing: str
    kind: str
    source: str
    modified: int
    titles: Texts
    texts: Texts
    links: tuple[str, ...] = ()
    parties: Texts = ()
    places: Texts = ()

    @property
    def languages(self) -> list[str]:
        """Return the languages of its texts."""
        return sorted({primary_language(tag) for _, tag in (*self.titles, *self.texts)})

    @property
    def identifiers(self) -> set[str]:
        """Return what its record is looked up by, folded: the key in its source, and the IRI of the
        record; of the IRI of a concept there is none.
        """
        if self.kind not in KINDS:
            return set()
        record = self.thing.replace(f"/id/{self.kind}/", "/record/", 1)
        return {
            name.casefold() for name in (unquote(self.thing.rpartition("/")[2]), self.thing, record)
        }


@cache
def schema() -> tantivy.Schema:
    """Return the schema: words are indexed with positions, stems without."""
    builder = tantivy.SchemaBuilder()
    for name in ("thing", "kind", "source", "language"):
        builder.add_text_field(
            name,
            tokenizer_name="raw",
            index_option="basic",
            fast=name != "thing",
            stored=name == "thing",
        )
    for name in ("link", "identifier"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("title", "text", "party"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
        builder.add_text_field(f"{name}_stems", tokenizer_name="whitespace", index_option="freq")
    builder.add_integer_field("modified", fast=True)
    builder.add_bytes_field("entry", stored=True)
    return builder.build()


def document(entry: SearchEntry) -> tantivy.Document:
    """Return *entry* as a document of the index."""
    result = tantivy.Document()
    result.add_text("thing", entry.thing)
    result.add_text("kind", entry.kind)
    result.add_text("source", entry.source)
    result.add_integer("modified", entry.modified)
    for language in entry.languages:
        result.add_text("language", language)
    for link in entry.links:
        result.add_text("link", link)
    for identifier in entry.identifiers:
        result.add_text("identifier", identifier)
    for field, texts in (
        ("title", entry.titles),
        ("text", entry.texts),
        ("party", (*entry.parties, *entry.places)),
    ):
        for text, tag in texts:
            words, stems = tokenize(text, primary_language(tag))
            result.add_text(field, words)
            if stems:
                result.add_text(f"{field}_stems", stems)
    stored = [
        entry.kind,
        entry.source,
        entry.modified,
        entry.titles,
        entry.texts,
        entry.links,
        entry.parties,
        entry.places,
    ]
    result.add_bytes("entry", orjson.dumps(stored))
    return result


def open_index(path: Path) -> tantivy.Index:
    """Open the index in the folder *path*, which is created if missing."""
    path.mkdir(parents=True, exist_ok=True)
    return tantivy.Index(schema(), str(path))


class IndexWriter:
    """The index in *path*, open for writing, by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = open_index(path).writer(_HEAP, 1)

    def put(self, entry: SearchEntry) -> None:
        """Replace the document of a thing."""
        self.drop(entry.thing)
        self.add(entry)

    def add(self, entry: SearchEntry) -> None:
        """Add the document of a thing that has none."""
        self._writer.add_document(document(entry))

    def drop(self, thing: str) -> None:
        """Delete the document of a thing."""
        self._writer.delete_documents_by_term("thing", thing)

    def clear(self) -> None:
        """Delete all documents."""
        self._writer.delete_all_documents()

    def commit(self) -> None:
        """Commit the changes to disk."""
        self._writer.commit()

    def close(self) -> None:
        """Close the index; what was not committed is lost."""
        self._writer.rollback()
        del self._writer

    def abandon(self) -> None:
        """Close a damaged index without a rollback."""
        del self._writer

    def snapshot(self, folder: Path) -> None:
        """Link the files of the last commit into *folder*."""
        for _ in range(_MAX_ATTEMPTS):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if link_files(self._path, folder):
                return
        raise OSError(f"{self._path}: no snapshot could be made in {_MAX_ATTEMPTS} attempts")


def link_files(index: Path, folder: Path) -> bool:
    """Link the files of *index* into *folder*, which is empty; return False if a merge removed
    files meanwhile.
    """
    with suppress(FileNotFoundError):  # a store without a vocabulary has none
        os.link(index / TOPICS, folder / TOPICS)
    meta = (index / "meta.json").read_bytes()
    segments = {
        segment["segment_id"].replace("-", "") for segment in orjson.loads(meta)["segments"]
    }
    try:
        for path in index.iterdir():
            if re.split(r"[._]", path.name)[0] in segments:
                os.link(path, folder / path.name)
    except FileNotFoundError:
        return False
    (folder / "meta.json").write_bytes(meta)
    (folder / _VERSION_FILE).write_text(BUILD_VERSION)
    return True


def is_current(folder: Path) -> bool:
    """Return whether the snapshot in *folder* was written by this version of the index's format."""
    try:
        return (folder / _VERSION_FILE).read_text() == BUILD_VERSION
    except FileNotFoundError:
        return False
