"""Check an entry of another journal before it may follow our head: all of it is read, in bounded memory.

Whatever passes can be read by everything that follows the journal: the header by ``read_header``, and each row by the RDF parser,
which must write it again as the same bytes. Stores give a quad back in that form, so other forms would never be found again.
"""

from __future__ import annotations

import hashlib
import re
from io import BufferedIOBase
from pathlib import Path

from isal import igzip, isal_zlib
from pyoxigraph import RdfFormat, parse, serialize

from journal.entry import read_header
from journal.errors import ChainError, ForkError

_BLOCK = 1 << 20  # bytes unpacked at once
_LONGEST = 16 << 20  # bytes of a row: the longest text that the judges let pass has a hundredth of it
_HEADERS = 32  # header rows; ours has four
_HEADER = re.compile(rb'H (\w+) (?:<urn:sha256:([0-9a-f]{64})>|"([^"\\\n]*)") \.\n\Z')
_IRI = rb'<[^\x00-\x20<>"{}|^`\\]++>'
_TEXT = rb'"(?:[^"\\\n\r]|\\(?:[tbnrf"\'\\]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}))*+"(?:@[a-zA-Z]++(?:-[a-zA-Z0-9]++)*+|\^\^' + _IRI + rb")?+"
_SIGN = re.compile(rb"^[AD] ", re.MULTILINE)
# An IRI, an IRI, an IRI or a literal, an IRI: what else N-Quads allows (blank nodes, triple terms, comments) is not in a journal.
_ROWS = re.compile(rb"(?:[AD] " + _IRI + b" " + _IRI + b" (?:" + _IRI + b"|" + _TEXT + b") " + _IRI + rb" \.\n)*+")


def verify_file(path: Path, number: int, previous: str | None, most: int) -> None:
    """Read the file that is to be entry *number*, after the entry whose id is *previous* (None: it is the first).

    Raises ChainError unless it is whole, has a header that can be read, is what its id says, holds rows of canonical quads only and
    unpacks to *most* bytes at most, and ForkError where it follows another entry.
    """
    try:
        with igzip.open(path, "rb") as file:
            told, found = _read(file, number, most)
    except (EOFError, OSError, isal_zlib.IsalError) as error:
        raise ChainError(f"entry {number} cannot be unpacked to its end: {error}") from error
    if told.get("id") != found:
        raise ChainError(f"entry {number} is not what its id says: it calls itself {told.get('id')}, its content has the hash {found}")
    read_header(path, number)
    if told.get("prev") != previous:
        follows, held = told.get("prev") or "nothing", previous or "nothing"
        raise ForkError(f"entry {number} follows {follows}, but what we hold before it is {held}: the two journals have parted")


def _read(file: BufferedIOBase, number: int, most: int) -> tuple[dict[str, str], str]:
    """Give the header and the hash of all that follows the id."""
    digest = hashlib.sha256()
    told = _header(file, digest, number)
    size, ended = 0, False
    while block := file.read(_BLOCK):
        if block[-1:] != b"\n":
            block += file.readline(_LONGEST)
        size += len(block)
        if ended or size > most:
            raise ChainError(f"entry {number} " + ("goes on after its commit (TC)" if ended else f"has more than {most} bytes unpacked"))
        digest.update(block)
        ended = block == b"TC .\n" or block.endswith(b"\nTC .\n")
        _judge(block[:-5] if ended else block, number)
    if not ended:
        raise ChainError(f"entry {number} ends before its commit (TC)")
    return told, digest.hexdigest()


def _header(file: BufferedIOBase, digest: hashlib._Hash, number: int) -> dict[str, str]:
    told: dict[str, str] = {}
    for place in range(_HEADERS):
        line = file.readline(_LONGEST)
        if place:
            digest.update(line)
        if line == b"TX .\n":
            return told
        match = _HEADER.match(line)
        if match is None or (place == 0) != (match[1] == b"id"):
            break
        told[match[1].decode()] = (match[2] or match[3] or b"").decode("utf-8", "replace")
    raise ChainError(f"entry {number} does not begin as an entry of a journal does")


def _judge(rows: bytes, number: int) -> None:
    match = _ROWS.match(rows)
    end = match.end() if match else 0
    if end != len(rows):
        raise ChainError(f"entry {number} has a row that is no quad in canonical form: {_excerpt(rows[end:])}")
    quads = _SIGN.sub(b"", rows)
    if not _is_canonical(quads):
        raise ChainError(f"entry {number} has a row that is no quad in canonical form: {_first_fault(quads)}")


def _is_canonical(quads: bytes) -> bool:
    try:
        return serialize(parse(quads, RdfFormat.N_QUADS), format=RdfFormat.N_QUADS) == quads
    except (SyntaxError, ValueError):
        return False


def _first_fault(quads: bytes) -> str:
    """Return the first line that is no canonical quad, and what the parser says of it."""
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
