"""Write dumps from the journal: all statements as canonical N-Quads and Turtle, and deleted records
as CSV.

Canonical N-Quads without blank nodes is a sort (https://www.w3.org/TR/rdf-canon/#canonical-quads),
so a dump is an external merge sort of the journal's rows, in which the last operation on each quad
counts. Memory use is constant.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from pyoxigraph import RdfFormat, Triple, parse, serialize

from journal.atomic_file import replace_file
from journal.journal import Journal
from publisher.projections.journal_reader import in_batches
from publisher.releases.deletions import deletion_rows
from publisher.releases.sorting import MAX_MERGED, RUN_BYTES, RUN_LENGTH, merge_files
from publisher.store.workers.results import PREFIXES

COMPRESSION_LEVEL = 6  # of gzip: level 9 takes twice the time for files that are 1 % smaller
# bytes after a line in a sorted file: a tab, six digits, the operation, the line end
SUFFIX_LENGTH = 9
_DIGEST = re.compile(rb"[0-9a-f]{64}\b")


def write_dumps(journal: Journal, folder: Path, position: int | None = None) -> list[Path]:
    """Write the dumps of the journal and the list of deleted records into *folder*, each with its
    SHA-256; return the files.

    They are of the state at the entry *position*, None for the newest one. A dump that exists is
    not written again.
    """
    if position is None:
        head = journal.head
        position = head.number if head else 0
    folder.mkdir(parents=True, exist_ok=True)
    quads, turtle, gone = (
        folder / f"stocktake-{position}.{suffix}.gz" for suffix in ("nq", "ttl", "gone.csv")
    )
    if not quads.exists():
        with _write_atomically(quads) as out:
            out.writelines(canonical_quads(journal, position))
    if not turtle.exists():
        with gzip.open(quads) as text, _write_atomically(turtle) as out:
            serialize(_triples(text), out, RdfFormat.TURTLE, prefixes=PREFIXES)  # type: ignore[arg-type]  # it needs only write
    if not gone.exists():
        with gzip.open(quads) as text, _write_atomically(gone) as out:
            out.writelines(deletion_rows(text))
    return [file for path in (quads, turtle, gone) for file in (path, _checksum_path(path))]


def canonical_quads(
    journal: Journal, position: int, work_folder: Path | None = None
) -> Iterator[bytes]:
    """Yield the quads of the state at entry *position*, sorted by their bytes, each once, with line
    ends.

    Sorted runs are stored in the folder *work_folder*; None: in the temporary folder of the system.
    """
    rows = (
        row
        for entry in journal.entries()
        if entry.number <= position
        for row in entry.lines()
        if row[:2] in (b"A ", b"D ")
    )
    with (
        tempfile.TemporaryDirectory(prefix="stocktake-dump-", dir=work_folder) as folder,
        ExitStack() as opened,
    ):
        files = merge_files(list(_sorted_files(rows, Path(folder))), Path(folder), MAX_MERGED)
        merged = heapq.merge(*(opened.enter_context(file.open("rb")) for file in files))
        for line, group in groupby(merged, key=lambda item: item[:-SUFFIX_LENGTH]):
            *_, last = group
            if last[-2:-1] == b"A":
                yield line + b"\n"


def _sorted_files(rows: Iterable[bytes], folder: Path) -> Iterator[Path]:
    """Write sorted files. Each has only the last operation on a quad; later operations are in files
    with higher numbers.
    """
    for number, batch in enumerate(in_batches(rows, RUN_LENGTH, RUN_BYTES)):
        last = {row[2:-1]: row[:1] for row in batch}
        path = folder / f"{number}"
        with path.open("wb") as file:
            file.writelines(b"%b\t%06d%b\n" % (line, number, last[line]) for line in sorted(last))
        yield path


def _triples(text: BinaryIO | gzip.GzipFile) -> Iterator[Triple]:
    """Yield the triples of sorted quads, each once: equal triples of several graphs are adjacent."""
    quads = parse(text, RdfFormat.N_QUADS, lenient=True)  # type: ignore[arg-type]  # it needs only read
    return (triple for triple, _ in groupby(quad.triple for quad in quads))


@contextmanager
def _write_atomically(path: Path) -> Iterator[gzip.GzipFile]:
    """Write a gzip file that appears at *path* when it is complete. Its bytes depend only on its
    content.
    """
    part = path.with_name(path.name + ".part")
    with (
        part.open("wb") as raw,
        gzip.GzipFile(
            filename="", fileobj=raw, mode="wb", compresslevel=COMPRESSION_LEVEL, mtime=0
        ) as file,
    ):
        yield file
    with part.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    replace_file(_checksum_path(path), f"{digest}  {path.name}\n")
    part.rename(path)


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def read_checksums(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each dump by its name, from its checksum file; a damaged one is left
    out, which ``stocktake verify`` names.
    """
    digests = {}
    for path in paths:
        with suppress(FileNotFoundError):
            if match := _DIGEST.match(_checksum_path(path).read_bytes()):
                digests[path.name] = match[0].decode()
    return digests
