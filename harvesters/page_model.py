"""Records: what a protocol brings, page by page, before any mapping reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from lxml.etree import _Element

from harvesters.payloads.graph import Graph

Row: TypeAlias = Mapping[str, Any]  # a JSON object or a table's row; its values are the registry's own
P = TypeVar("P", _Element, Row, Graph)


class Payload(Enum):
    """What a record's payload is."""

    XML = "an XML element"
    ROW = "a JSON object or a table's row"
    GRAPH = "an RDF graph"


class SourcePosition(NamedTuple):
    """Where a reply lies in the archive: the WARC file's path below the archive, offset and length in bytes."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Record(Generic[P]):
    """One record: the source's own *key*, its *payload*, and its *raw* bytes, on which its digest rests.

    *modified* is the source's word for when it changed, None where it tells none.
    """

    key: str
    payload: P
    raw: bytes
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """The source says that this record is deleted."""

    key: str
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that came but could not be read: withheld with its *reason*, never taken for a deletion."""

    key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Page(Generic[P]):
    """One answer's records.

    *cursor* asks for the next page (what ``collect`` takes to go on from there), None on the last one; *claimed* is the
    total that the source declares, None where it declares none; *at* is where the answer lies in the archive;
    *unchanged*: the source says that nothing changed since the last run (a 304), so there are no items to read; *again*:
    the page may bring records that this run has had already (after an expired token, or a page read in parts), which are
    no duplicates; *doubt*: why this run cannot be a complete sweep, whatever else comes, None where nothing speaks against it;
    *moves*: the list is asked for page by page, and may change between two of them, so that a record comes twice and another never.
    """

    items: tuple[Record[P] | DeletedRecord | InvalidRecord, ...]
    cursor: str | None
    claimed: int | None = None
    at: SourcePosition | None = None
    unchanged: bool = False
    again: bool = False
    doubt: str | None = None
    moves: bool = False


Pages: TypeAlias = Iterator[Page[P]]
