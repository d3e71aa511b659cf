"""Read, write and verify entries. An entry is one committed run as a gzipped RDF Patch file; its id is the
hash of all rows after that of the id.

The format is that of Apache Jena's RDF Delta (https://afs.github.io/rdf-delta/rdf-patch.html):
header rows ``H id``, ``H prev``, ``H run``, ``H time``; then ``TX .``, rows ``A`` and ``D`` with a
quad each, ``TC .``.

An entry of another journal is verified before it is appended: all of it is read, in bounded memory. A
valid entry can be read by everything that follows the journal: the header by ``read_header``, and
each row by the RDF parser, which must serialize it to the same bytes. Stores return quads in that
form, so a quad in another form could never be removed.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

from isal import igzip, isal_zlib
from pyoxigraph import RdfFormat, parse, serialize

from journal.errors import ChainError, ForkError, JournalError

SUFFIX = ".rdfp.gz"
COMPRESSION_LEVEL = 1  # isal's gzip takes a third of zlib's time for the same size
_BLOCK = 1 << 20  # bytes compressed or unpacked at once
_HEADER_ROW = re.compile(rb'H ([a-z]+) (?:<urn:sha256:([0-9a-f]{64})>|"([^"\\\n]*)") \.\n\Z')
# The name of a run is a segment of its IRI that needs no encoding.
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: *id* and *previous* are SHA-256 in hexadecimal, *previous* is None for the first."""

    number: int
    id: str
    previous: str | None
    run: str
    time: datetime
    path: Path

    def rows(self) -> Iterator[str]:
        """Yield the rows ``A <s> <p> <o> <g> .`` and ``D ...`` in order, without line ends.

        Raises ChainError if the file is incomplete.
        """
        for line in self.lines():
            if line.startswith(b"A ") or line.startswith(b"D "):
                yield line[:-1].decode()

    def lines(self) -> Iterator[bytes]:
        """Yield all lines of the patch as bytes with their line ends; an incomplete file raises
        ChainError.
        """
        try:
            with igzip.open(self.path, "rb") as file:
                yield from file
        except (EOFError, OSError, isal_zlib.IsalError) as error:
            raise self._fault(
                "journal entry %(number)s: %(path)s cannot be read to its end: %(error)s",
                error=error,
            ) from error

    def check(self) -> None:
        """Read the whole entry; raise ChainError unless it is complete and its id is the hash of
        what follows.
        """
        digest, last = hashlib.sha256(), b""
        for number, line in enumerate(self.lines()):
            if number:
                digest.update(line)
            last = line
        if last != b"TC .\n":
            raise self._fault("journal entry %(number)s: %(path)s ends before its commit (TC)")
        if digest.hexdigest() != self.id:
            raise self._fault(
                "journal entry %(number)s: %(path)s does not match its id; restore it from a mirror"
            )

    def _fault(self, message: str, **values: object) -> ChainError:
        return ChainError(message, number=self.number, path=self.path, **values)


def read_header(path: Path, number: int | None = None) -> Entry:
    """Read an entry's header rows; *number* is the entry's, None to take it from the file's name.

    Raises ChainError if the rows are not those of an entry: an id, a run and a time in UTC, each
    once.
    """
    values: dict[str, str] = {}
    try:
        with igzip.open(path, "rb") as file:
            for line in file:
                match = _HEADER_ROW.match(line)
                if match is None:
                    break
                name = match[1].decode()
                if name in values:
                    raise ValueError(f"the row H {name} occurs twice")
                values[name] = (match[2] or match[3]).decode()
        if not _RUN.match(values["run"]):
            raise ValueError(f"{values['run'][:80]!r} is not the name of a run")
        if number is None:
            number = int(path.name.split(".")[0])
        return Entry(
            number,
            values["id"],
            values.get("prev"),
            values["run"],
            _parse_time(values["time"]),
            path,
        )
    except (EOFError, OSError, isal_zlib.IsalError, KeyError, ValueError) as error:
        label = path.name if number is None else number
        raise ChainError(f"journal entry {label}: its header cannot be read: {error!r}") from error


def _parse_time(text: str) -> datetime:
    if not _TIME.match(text):
        raise ValueError(f"{text[:80]!r} is not a time such as 2026-03-01T03:15:00Z")
    return datetime.fromisoformat(text)


def write(path: Path, blocks: Iterable[str], previous: str | None, run: str, time: datetime) -> str:
    """Write a patch to *path* and return its id; *blocks* are texts of one or more rows without the
    last line end.

    Raises JournalError if *run* is not a valid run name.

    The id is in a gzip member of its own before the body's, since it is known only after the body.
    """
    if not _RUN.match(run):
        raise JournalError(
            f"{run!r} is not the name of a run; use ASCII letters, digits, dots, hyphens and underscores"
        )
    digest, body = hashlib.sha256(), path.with_suffix(".body")
    with (
        body.open("wb") as raw,
        igzip.IGzipFile(
            filename="", fileobj=raw, mode="wb", compresslevel=COMPRESSION_LEVEL, mtime=0
        ) as packed,
    ):
        for data in _gathered(_lines(blocks, previous, run, time)):
            digest.update(data)
            packed.write(data)
    head = f"H id <urn:sha256:{digest.hexdigest()}> .\n".encode()
    with path.open("wb") as out, body.open("rb") as source:
        out.write(igzip.compress(head, compresslevel=COMPRESSION_LEVEL, mtime=0))
        shutil.copyfileobj(source, out, _BLOCK)
    body.unlink()
    return digest.hexdigest()


def _lines(blocks: Iterable[str], previous: str | None, run: str, time: datetime) -> Iterator[str]:
    if previous:
        yield f"H prev <urn:sha256:{previous}> ."
    yield f'H run "{run}" .'
    yield f'H time "{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" .'
    yield "TX ."
    yield from blocks
    yield "TC ."


def _gathered(texts: Iterable[str]) -> Iterator[bytes]:
    """Join texts, each ended by a line end, into blocks worth compressing."""
    waiting = io.BytesIO()
    for text in texts:
        waiting.write(f"{text}\n".encode())
        if waiting.tell() >= _BLOCK:
            yield waiting.getvalue()
            waiting = io.BytesIO()
    yield waiting.getvalue()


class RowCounts(NamedTuple):
    """*size* is the length of the uncompressed patch in bytes."""

    added: int
    removed: int
    size: int


@lru_cache(maxsize=100_000)
def count_rows(entry: Entry) -> RowCounts:
    """Count the rows that an entry adds and removes; cached, since an entry never changes.

    Counts some 500 MB of uncompressed patch a second. Raises ChainError if the file is incomplete.
    """
    added = removed = size = 0
    end = b"\n"  # A row begins after a line end, which may be in the block before.
    try:
        with igzip.open(entry.path, "rb") as file:
            while block := file.read(_BLOCK):
                size += len(block)
                text = end + block
                added, removed = added + text.count(b"\nA "), removed + text.count(b"\nD ")
                end = text[-2:]
    except (EOFError, OSError, isal_zlib.IsalError) as error:
        raise ChainError(f"{entry.path} cannot be read to its end: {error}") from error
    return RowCounts(added, removed, size)


_LONGEST = 16 << 20  # bytes of a row: a hundred times the longest text that the shapes accept
_HEADERS = 32  # header rows; an entry of ours has four
_IRI = rb'<[^\x00-\x20<>"{}|^`\\]++>'
_TEXT = (
    rb'"(?:[^"\\\n\r]|\\(?:[tbnrf"\'\\]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}))*+"(?:@[a-zA-Z]++(?:-[a-zA-Z0-9]++)*+|\^\^'
    + _IRI
    + rb")?+"
)
_SIGN = re.compile(rb"^[AD] ", re.MULTILINE)
# IRI, IRI, IRI or literal, IRI: a journal has no blank nodes, triple terms or comments, which
# N-Quads allows.
_ROWS = re.compile(
    rb"(?:[AD] " + _IRI + b" " + _IRI + b" (?:" + _IRI + b"|" + _TEXT + b") " + _IRI + rb" \.\n)*+"
)


def verify_file(path: Path, number: int, previous: str | None, max_bytes: int) -> None:
    """Check the file that is to become entry *number*, after the entry with the id *previous*
    (None: it is the first).

    Raises ChainError unless it is complete, has a valid header, matches its id, has rows of
    canonical quads only and at most *max_bytes* uncompressed bytes, and ForkError if it follows
    another entry.
    """
    try:
        with igzip.open(path, "rb") as file:
            digest = _read(file, number, max_bytes)
    except (EOFError, OSError, isal_zlib.IsalError) as error:
        raise ChainError(f"entry {number} cannot be decompressed completely: {error}") from error
    entry = read_header(path, number)
    if entry.id != digest:
        raise ChainError(
            f"entry {number} does not match its id: it declares {entry.id}, its content has the hash {digest}"
        )
    if entry.previous != previous:
        raise ForkError(
            f"entry {number} follows {entry.previous or 'nothing'}, but our entry before it is "
            f"{previous or 'none'}: the two journals have diverged"
        )


def _read(file: BufferedIOBase, number: int, max_bytes: int) -> str:
    """Return the hash of all that follows the id."""
    digest, size, ended = hashlib.sha256(), 0, False
    _read_header_rows(file, digest, number)
    while block := file.read(_BLOCK):
        if block[-1:] != b"\n":
            block += file.readline(_LONGEST)
        size += len(block)
        if ended or size > max_bytes:
            raise ChainError(
                f"entry {number} "
                + (
                    "goes on after its commit (TC)"
                    if ended
                    else f"has more than {max_bytes} bytes unpacked"
                )
            )
        digest.update(block)
        ended = block == b"TC .\n" or block.endswith(b"\nTC .\n")
        _check_rows(block[:-5] if ended else block, number)
    if not ended:
        raise ChainError(f"entry {number} ends before its commit (TC)")
    return digest.hexdigest()


def _read_header_rows(file: BufferedIOBase, digest: hashlib._Hash, number: int) -> None:
    for index in range(_HEADERS):
        line = file.readline(_LONGEST)
        if index:
            digest.update(line)
        if line == b"TX .\n":
            return
        match = _HEADER_ROW.match(line)
        if match is None or (index == 0) != (match[1] == b"id"):
            break
    raise ChainError(f"entry {number} does not begin as an entry of a journal does")


def _check_rows(rows: bytes, number: int) -> None:
    if not _are_canonical(rows):
        lines = rows.splitlines(keepends=True)
        wrong = next((line for line in lines if not _are_canonical(line)), rows)
        excerpt = wrong[:200].decode("utf-8", "replace").rstrip("\n")
        raise ChainError(f"entry {number} has a row that is no quad in canonical form: {excerpt}")


def _are_canonical(rows: bytes) -> bool:
    quads = _SIGN.sub(b"", rows)
    try:
        written = serialize(parse(quads, RdfFormat.N_QUADS), format=RdfFormat.N_QUADS)
    except (SyntaxError, ValueError):
        return False
    return written == quads and _ROWS.fullmatch(rows) is not None
