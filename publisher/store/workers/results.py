"""Write a query result in its format as messages of whole rows, and mark a truncated one.

A truncated result ends after a whole row. Then the document is closed and marked, if its format
allows a mark that parsers ignore: an extra member in JSON, a processing instruction in XML and
RDF/XML, a comment in Turtle and N-Triples.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from typing import NamedTuple

from pyoxigraph import QueryBoolean, QuerySolutions, QueryTriples, Triple, serialize

from publisher.errors import NoFormat, PublisherError
from publisher.rdf.results import replace_invalid_characters
from publisher.store.workers.query_request import QueryRequest
from web.formats import GRAPHS, TABLES

Result = QuerySolutions | QueryBoolean | QueryTriples | Iterator[Triple]
STORE = "store"  # engine name of the RDF store
FIELD = "Stocktake-Truncated"
# bytes of a data message: large enough for little overhead, small enough to stream
CHUNK_SIZE = 64 * 1024
# Bytes of a message that Connection writes, and a socket of this machine passes on, in one piece:
# reading a piece never waits for the rest of it.
PIECE_SIZE = 16 * 1024

PREFIXES = {
    "dct": "http://purl.org/dc/terms/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_JSON_TEXT, _JSON_ROW = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'), re.compile(rb",\{.")
_CSV_TEXT = re.compile(rb'"[^"]*+(?:"|\Z)')
_JSON_MARK = b',{"'  # in a text the quote would be escaped


@dataclass(frozen=True, slots=True)
class Truncation:
    """The limit at which a result was truncated, "rows", "seconds" or "memory", and its value in
    rows, seconds or bytes.
    """

    limit: str
    value: float

    @property
    def field(self) -> str:
        """Return the value of the header or trailer field, a dictionary
        (https://www.rfc-editor.org/rfc/rfc9651).

        >>> Truncation("rows", 5000).field
        'rows=5000'
        """
        return f"{self.limit}={self.value:.10g}"


class Head(NamedTuple):
    """The message that begins a response: the suffix of its format, and the engine."""

    suffix: str
    engine: str


class End(NamedTuple):
    """The message that ends a response: its number of rows, if known, and where it is truncated."""

    rows: int | None = None
    truncation: Truncation | None = None


Message = Head | bytes | End | PublisherError


def send(connection: Connection, messages: list[Message]) -> None:
    """Send *messages* to the server, which reads them in pieces; the last piece is the first that
    is shorter than PIECE_SIZE.
    """
    data = pickle.dumps(messages)
    for start in range(0, len(data) + 1, PIECE_SIZE):
        connection.send_bytes(data[start : start + PIECE_SIZE])


def closing_bytes(suffix: str, truncation: Truncation) -> bytes | None:
    """Return the bytes that close and mark a document of the format *suffix* after a whole row;
    None if the format has no mark.

    >>> closing_bytes("json", Truncation("rows", 2))
    b']},"truncated":{"rows": 2}}'
    """
    mark = f"stocktake-truncated {truncation.field}"
    if suffix == "json":
        member = json.dumps({truncation.limit: truncation.value})
        return f']}},"truncated":{member}}}'.encode()
    if suffix == "xml":
        return f"</results><?{mark}?></sparql>".encode()
    if suffix in ("ttl", "nt"):
        return f"# {mark}\n".encode()
    # at other limits the serializer has not closed the document
    if suffix == "rdf" and truncation.limit == "rows":
        return f"<?{mark}?>\n".encode()
    return None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a format: each row begins with *mark* if *before*, else it ends with it.

    *more* is the number of rows minus the number of marks: 1 if the first row has no mark, -1 if a
    header has one. *mask* replaces everything in a text that only looks like a mark by other bytes
    of the same length; the text must begin at a row boundary.
    """

    mark: bytes
    before: bool
    more: int = 0
    mask: Callable[[bytes], bytes] = bytes

    def last_boundary(self, masked: bytes) -> int:
        """Return the position of the last boundary between two rows, 0 if there is none."""
        before, mark, _ = masked.rpartition(self.mark)
        return len(before) if self.before else len(before + mark)

    def boundary_at(self, masked: bytes, number: int) -> int:
        """Return the position of the boundary at mark *number*, counted from 1; number 0 is the
        start of the text.
        """
        if not number:
            return 0
        marks = re.finditer(re.escape(self.mark), masked)
        mark = next(islice(marks, number - 1, None))
        return mark.start() if self.before else mark.end()


def _json(text: bytes) -> bytes:
    """Make empty rows begin with the mark too. Without an empty row the text is returned as it is."""
    if b",{}" not in text:
        return text
    return _JSON_ROW.sub(_JSON_MARK, _JSON_TEXT.sub(_masked, text))


def _csv(text: bytes) -> bytes:
    return _CSV_TEXT.sub(_masked, text) if b'"' in text else text


def _masked(match: re.Match[bytes]) -> bytes:
    return b"x" * len(match[0])


ROWS: dict[str, Rows] = {
    "json": Rows(_JSON_MARK, True, 1, _json),
    "xml": Rows(b"<result>", True),
    "csv": Rows(b"\r\n", False, -1, _csv),
    "tsv": Rows(b"\n", False, -1),
    "nt": Rows(b"\n", False),
    "ttl": Rows(b" .\n", False),
}


class RowLimitReached(Exception):
    """The response has its maximum number of rows and another row would follow."""


class ResultWriter:
    """A file that sends what is written to it in messages of whole rows, at most *max_rows* rows."""

    def __init__(
        self,
        connection: Connection,
        suffix: str,
        max_rows: int | None = None,
        engine: str = STORE,
    ) -> None:
        self._connection = connection
        self._clean = replace_invalid_characters if suffix in ("xml", "rdf") else bytes
        self._messages: list[Message] = [Head(suffix, engine)]
        self._data = bytearray()
        self._rows, self._max_rows, self._marks = ROWS.get(suffix), max_rows, 0
        self._send_at, self._is_full = CHUNK_SIZE, False

    def write(self, data: bytes) -> int:
        """Write *data*. Raises RowLimitReached at a row too many; data written after that are
        ignored.
        """
        if self._is_full:
            return len(data)
        self._data += data
        if len(self._data) >= self._send_at:
            self._send_whole_rows()
            self._send_at = len(self._data) + CHUNK_SIZE  # a row may be longer than a chunk
        return len(data)

    def flush(self) -> None:
        """Do nothing: ``end`` sends buffered data."""

    def _send_whole_rows(self) -> None:
        """Send the buffered data up to the last row boundary."""
        boundary = len(self._data)
        if self._rows:
            masked, marks = self._mask_and_count(self._rows)
            boundary = self._rows.last_boundary(masked)
            # the mark at the boundary belongs to the next row
            self._marks += marks - (1 if boundary and self._rows.before else 0)
        self._add_data(boundary)
        self._send()

    def _mask_and_count(self, rows: Rows) -> tuple[bytes, int]:
        """Return the masked data and their number of marks. At a row too many, drop it and the rest
        and raise RowLimitReached.
        """
        masked = rows.mask(bytes(self._data))
        marks = masked.count(rows.mark)
        if self._max_rows is not None and self._marks + marks + rows.more > self._max_rows:
            last = self._max_rows - rows.more + (rows.before)  # the mark at which the last row ends
            del self._data[rows.boundary_at(masked, last - self._marks) :]
            self._is_full = True
            raise RowLimitReached
        return masked, marks

    def _add_data(self, boundary: int) -> None:
        if boundary:
            self._messages.append(self._clean(bytes(memoryview(self._data)[:boundary])))
            del self._data[:boundary]

    def _send(self) -> None:
        send(self._connection, self._messages)
        self._messages = []

    def end(self, rows: int | None = None, truncation: Truncation | None = None) -> None:
        """Send the buffered data and the end; *rows* if they are not counted here. Raises
        RowLimitReached as ``write`` does.
        """
        if rows is None and truncation is None and self._rows:
            marks = self._marks + self._mask_and_count(self._rows)[1]
            rows = 0 if self._data.endswith(b'"bindings":[]}}') else max(0, marks + self._rows.more)
        self._add_data(len(self._data))
        self._messages.append(End(rows, truncation))
        self._send()


def send_result(
    result: Result, request: QueryRequest, connection: Connection, engine: str = STORE
) -> None:
    """Send *result* of *engine* in the requested format. Raises NoFormat if no such format was
    requested.
    """
    if not isinstance(result, QuerySolutions | QueryBoolean):
        return _send_graph(result, request, connection, engine)
    if request.table is None:
        raise NoFormat("the result is a table, but no table format was requested")
    has_rows = isinstance(result, QuerySolutions)  # a boolean has no rows
    writer = ResultWriter(connection, request.table, request.rows if has_rows else None, engine)
    try:
        result.serialize(writer, TABLES[request.table].writer)  # type: ignore[arg-type]  # it needs only write
        return writer.end(rows=None if has_rows else 1)
    except RowLimitReached:
        rows = request.rows or 0
        return writer.end(rows=rows, truncation=Truncation("rows", rows))


def _send_graph(
    result: QueryTriples | Iterator[Triple],
    request: QueryRequest,
    connection: Connection,
    engine: str,
) -> None:
    if request.graph is None:
        raise NoFormat("the result is a graph, but no graph format was requested")
    writer, triples, sent = ResultWriter(connection, request.graph, engine=engine), iter(result), 0

    def limited_triples() -> Iterator[Triple]:
        nonlocal sent
        for triple in islice(triples, request.rows):
            sent += 1
            yield triple

    serialize(limited_triples(), writer, GRAPHS[request.graph].writer, prefixes=PREFIXES)  # type: ignore[arg-type]  # as above
    is_cut = next(triples, None) is not None
    writer.end(rows=sent, truncation=Truncation("rows", sent) if is_cut else None)
