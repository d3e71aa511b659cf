"""Entry: one committed run as an RDF Patch file, gzip, whose id is the hash of all that follows it.

The format is that of Apache Jena's RDF Delta (https://afs.github.io/rdf-delta/rdf-patch.html): header rows
``H id``, ``H prev``, ``H run``, ``H time``; then ``TX .``, rows ``A`` and ``D`` with a quad each, ``TC .``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from isal import igzip, isal_zlib

from journal.errors import ChainError

SUFFIX = ".rdfp.gz"
_LEVEL = 1  # of isal, whose gzip takes a third of zlib's time for the same size here
_BLOCK = 1 << 20  # bytes compressed at once
_HEADER = re.compile(r'H (\w+) (?:<urn:sha256:([0-9a-f]{64})>|"([^"\\]*)") \.\n\Z')


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
        """Give the rows ``A <s> <p> <o> <g> .`` and ``D ...`` in their order, without line ends.

        Raises ChainError where the file is torn.
        """
        for line in self.lines():
            if line.startswith(b"A ") or line.startswith(b"D "):
                yield line[:-1].decode()

    def lines(self) -> Iterator[bytes]:
        """Give all lines of the patch as bytes with their line ends; a torn file raises ChainError."""
        try:
            with igzip.open(self.path, "rb") as file:
                yield from file
        except (EOFError, OSError, isal_zlib.IsalError) as error:
            raise ChainError(f"journal entry {self.number}: {self.path} cannot be read to its end: {error}") from error

    def check(self) -> None:
        """Read the whole entry; raise ChainError unless it is complete and its id is the hash of what follows."""
        digest, last = hashlib.sha256(), b""
        for number, line in enumerate(self.lines()):
            if number:
                digest.update(line)
            last = line
        if last != b"TC .\n":
            raise ChainError(f"journal entry {self.number}: {self.path} ends before its commit (TC)")
        if digest.hexdigest() != self.id:
            raise ChainError(f"journal entry {self.number}: {self.path} is not what its id says; restore it from a mirror")


def read_header(path: Path) -> Entry:
    """Read an entry's header rows; raise ChainError where they are not an entry's."""
    found: dict[str, str] = {}
    try:
        with igzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                match = _HEADER.match(line)
                if match is None:
                    break
                found[match[1]] = match[2] or match[3]
        number, time = int(path.name.split(".")[0]), datetime.fromisoformat(found["time"])
        return Entry(number, found["id"], found.get("prev"), found["run"], time, path)
    except (EOFError, OSError, isal_zlib.IsalError, KeyError, ValueError) as error:
        raise ChainError(f"journal entry {path.name}: its header cannot be read: {error!r}") from error


def write(path: Path, blocks: Iterable[str], previous: str | None, run: str, time: datetime) -> str:
    """Write a patch to *path* and give its id; *blocks* are texts of one or more rows without the last line end.

    The id stands in a gzip member of its own before the body's, since it is known only after the body.
    """
    digest = hashlib.sha256()
    body = path.with_suffix(".body")
    with body.open("wb") as raw:
        _write_body(raw, digest, blocks, previous, run, time)
    with path.open("wb") as out, body.open("rb") as source:
        out.write(_member(f"H id <urn:sha256:{digest.hexdigest()}> .\n".encode()))
        shutil.copyfileobj(source, out, _BLOCK)
    body.unlink()
    return digest.hexdigest()


def _write_body(raw: BinaryIO, digest: hashlib._Hash, blocks: Iterable[str], previous: str | None, run: str, time: datetime) -> None:
    with igzip.IGzipFile(filename="", fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
        for data in _gathered(_lines(blocks, previous, run, time)):
            digest.update(data)
            packed.write(data)


def _lines(blocks: Iterable[str], previous: str | None, run: str, time: datetime) -> Iterator[str]:
    if previous:
        yield f"H prev <urn:sha256:{previous}> ."
    yield f'H run "{run}" .'
    yield f'H time "{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" .'
    yield "TX ."
    yield from blocks
    yield "TC ."


def _gathered(texts: Iterable[str]) -> Iterator[bytes]:
    """Gather texts, each ended by a line end, into blocks worth compressing."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _BLOCK:
            yield ("\n".join(waiting) + "\n").encode()
            waiting, size = [], 0
    if waiting:
        yield ("\n".join(waiting) + "\n").encode()


def _member(data: bytes) -> bytes:
    return bytes(igzip.compress(data, compresslevel=_LEVEL, mtime=0))
