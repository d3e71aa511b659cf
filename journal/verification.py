"""Verify an entry of another journal before it is appended: all of it is read, in bounded memory.

A valid entry can be read by everything that follows the journal: the header by ``read_header``, and
each row by the RDF parser, which must serialize it to the same bytes. Stores return quads in that
form, so a quad in another form could never be removed.
"""

from __future__ import annotations

import hashlib
import re
from io import BufferedIOBase
from pathlib import Path

from isal import igzip, isal_zlib
from pyoxigraph import RdfFormat, parse, serialize

from journal.entry import HEADER_ROW, read_header
from journal.errors import ChainError, ForkError

_BLOCK = 1 << 20  # bytes decompressed at once
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
        match = HEADER_ROW.match(line)
        if match is None or (index == 0) != (match[1] == b"id"):
            break
    raise ChainError(f"entry {number} does not begin as an entry of a journal does")


def _check_rows(rows: bytes, number: int) -> None:
    match, quads = _ROWS.match(rows), _SIGN.sub(b"", rows)
    end = match.end() if match else 0
    fault = _excerpt(rows[end:]) if end != len(rows) else ""
    if fault or not _is_canonical(quads):
        raise ChainError(
            f"entry {number} has a row that is no quad in canonical form: {fault or _first_fault(quads)}"
        )


def _is_canonical(quads: bytes) -> bool:
    try:
        return serialize(parse(quads, RdfFormat.N_QUADS), format=RdfFormat.N_QUADS) == quads
    except (SyntaxError, ValueError):
        return False


def _first_fault(quads: bytes) -> str:
    """Return the first line that is not a canonical quad, with the parser's message."""
    for line in quads.splitlines(keepends=True):
        try:
            written = serialize(parse(line, RdfFormat.N_QUADS), format=RdfFormat.N_QUADS)
        except (SyntaxError, ValueError) as error:
            return f"{_excerpt(line)} ({getattr(error, 'msg', error)})"
        if written != line:
            return f"{_excerpt(line)} (stores write it as {_excerpt(written or b'')})"
    raise AssertionError("the lines are canonical, each by itself")


def _excerpt(rows: bytes) -> str:
    return rows[:200].split(b"\n")[0].decode("utf-8", "replace")
