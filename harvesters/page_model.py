"""Define pages of records, which a protocol yields and a mapping reads, and what is stored of their
responses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from harvesters.reasons import Reason

if TYPE_CHECKING:  # A listing of runs needs no parsers.
    from lxml.etree import _Element

    from harvesters.payloads.graph import Graph


class SourcePosition(NamedTuple):
    """The position of a response in the archive: the WARC file's path below the archive, offset and
    length in bytes.

    >>> str(SourcePosition("a/a.1.warc.gz", 563, 579))
    'a/a.1.warc.gz, bytes 563-1141'
    """

    file: str
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.file}, bytes {self.offset}-{self.offset + self.length - 1}"


@dataclass(frozen=True, slots=True)
class Validator:
    """The values for the next conditional request: the ETag and Last-Modified as the
    registry sent them, and a *digest* of its body (``Reply.digest``).
    """

    etag: str | None
    modified: str | None
    digest: str | None = None


# A JSON object or a table's row, with the registry's own values.
Row: TypeAlias = Mapping[str, Any]
P = TypeVar("P", "_Element", Row, "Graph")


class Payload(Enum):
    """The type of a record's payload."""

    XML = "an XML element"
    ROW = "a JSON object or a table's row"
    GRAPH = "an RDF graph"


@dataclass(frozen=True, slots=True)
class Unparsed(Generic[P]):
    """A payload that is parsed only if its record has changed. *parse* raises ParseError, and can
    be pickled.
    """

    parse: Callable[[], P]


@dataclass(frozen=True, slots=True)
class Record(Generic[P]):
    """A record: the source's own *key*, its payload, and its *raw* bytes, from which its digest
    is computed.

    *content* is the payload, or how it is parsed. *modified* is the source's modification time,
    None if it has none. *lineage* are the addresses at which the record was harvested before, the
    oldest first, if its envelope says so; they count as part of what it says.
    """

    key: str
    content: P | Unparsed[P]
    raw: bytes
    modified: str | None = None
    lineage: tuple[str, ...] = ()

    @property
    def digested(self) -> bytes:
        """Return the bytes from which the digest is computed."""
        return "\n".join(self.lineage).encode() + self.raw if self.lineage else self.raw

    @property
    def payload(self) -> P:
        """Return the payload; raises ParseError if it cannot be parsed."""
        return self.content.parse() if isinstance(self.content, Unparsed) else self.content

    def parsed(self) -> Record[P]:
        """Return the record with its payload parsed; raises ParseError."""
        return replace(self, content=self.payload) if isinstance(self.content, Unparsed) else self


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """A record that the source reports as deleted."""

    key: str
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that could not be read: it is withheld with its *cause*, a reason or an English
    text, and never counts as deleted.
    """

    key: str | None
    cause: str | Reason

    @property
    def reason(self) -> str:
        """Return the cause as an English text."""
        return str(self.cause)


Item: TypeAlias = Record[P] | DeletedRecord | InvalidRecord


MAX_TOTAL = 2**31 - 1  # the largest INTEGER of PostgreSQL


@dataclass(frozen=True, slots=True)
class Page(Generic[P]):
    """The records of one response.

    *cursor* is passed to ``collect`` to continue with the next page, None on the last one;
    *reported_total* is the total that the source reports, None if it reports none, or more than
    any source can hold; *at* is the position of the response in the archive; *unchanged*: nothing
    has changed since the last run (304), so there are no items; *again*: the page may repeat
    records of this run (after an expired token, or a page read in parts), which then are not
    duplicates; *incomplete_reason*: why this run cannot be a full harvest, or None; *unstable_list*: the
    list is requested page by page and may change between requests, so that records may be repeated
    or missed; *composed_key*: the option, as TOML, by which rows with one key would have different
    ones, "" if none is known; *dates* is the number of its records that are dates of recurring events;
    *guessed_charset* is the charset of its text where only the text itself shows it, else "".
    """

    items: tuple[Item[P], ...]
    cursor: str | None
    reported_total: int | None = None
    at: SourcePosition | None = None
    unchanged: bool = False
    again: bool = False
    incomplete_reason: Reason | None = None
    unstable_list: bool = False
    composed_key: str = ""
    dates: int = 0
    guessed_charset: str = ""

    def __post_init__(self) -> None:
        """Drop a total that no ledger can store."""
        if self.reported_total is not None and self.reported_total > MAX_TOTAL:
            object.__setattr__(self, "reported_total", None)


Pages: TypeAlias = Iterator[Page[P]]
