"""Write dumps from the journal: all statements as canonical N-Quads, their triples in other formats,
and the records that are gone.

Canonical N-Quads without blank nodes is a sort (https://www.w3.org/TR/rdf-canon/#canonical-quads),
so a dump is an external merge sort of the journal's rows, in which the last operation on each quad
counts. Memory use is constant.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import heapq
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from isal import igzip, igzip_threaded
from pyoxigraph import Quad, RdfFormat, parse, serialize

from journal.files import replace_file
from journal.journal import Journal
from publisher.rdf import PREFIXES
from publisher.store.changes import in_batches
from vocab.terms import ADMS, DCT, FOAF, PROV

DUMP_NAME = re.compile(r"stocktake-(\d+)\.(?:nq|ttl|gone\.csv)\.gz(\.sha256)?\Z")
TEXT_FORMATS = ("nt", "ttl", "jsonld")  # of a release, beside its quads
_GZIP_LEVEL = 3  # the best that isal has: a tenth larger than zlib's 6, in an eighth of the time
_GZIP_BLOCK = 1 << 18  # bytes that are compressed at once
COMPRESSION_LEVEL = 6  # of gzip: level 9 takes twice the time for files that are 1 % smaller
# The lines that are sorted in memory at once, and their bytes from which on no more are added. Each
# run is a file; 1,024, the usual limit of open files, are more statements than a million things have.
RUN_LENGTH, RUN_BYTES = 100_000, 16_000_000
# The bytes of a sorted file after each line: a tab, six digits, the operation, the line end.
SUFFIX_LENGTH = 9
CHUNK = 5_000  # triples of one subject in a line of JSON-LD; only registries have more
_DIGEST = re.compile(rb"[0-9a-f]{64}\b")
_GONE = b"operations#gone>"
_STATUS = f" <{ADMS}status> ".encode()
# The columns of the list of records that are gone (https://www.rfc-editor.org/rfc/rfc4180). Each is
# filled by the property of the tombstone whose IRI ends so; the last two may be empty.
COLUMNS = {
    "record": None,
    "thing": f"{FOAF}primaryTopic",
    "identifier": f"{DCT}identifier",
    "title": f"{DCT}title",
    "first_seen": f"{DCT}issued",
    "gone": f"{PROV}invalidatedAtTime",
    "run": f"{PROV}wasInvalidatedBy",
    "reason": "#reason",
    "replaced_by": f"{DCT}isReplacedBy",
}


class DumpFile(NamedTuple):
    """A dump: *created* in UTC, *digest* its SHA-256 in hexadecimal."""

    name: str
    size: int
    created: str
    digest: str


def list_dumps(folder: Path) -> list[DumpFile]:
    paths = [path for path in folder.glob("stocktake-*.gz") if DUMP_NAME.match(path.name)]
    paths.sort(key=lambda path: (-int(path.name.split("-")[1].split(".")[0]), path.name))
    return [
        DumpFile(
            path.name,
            path.stat().st_size,
            f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%dT%H:%M:%SZ}",
            _read_checksum(path),
        )
        for path in paths
    ]


def _read_checksum(path: Path) -> str:
    """Return the SHA-256 of a dump from its checksum file; "" if that is missing or damaged, which
    ``stocktake verify`` reports.
    """
    file = _checksum_path(path)
    match = _DIGEST.match(file.read_bytes()) if file.exists() else None
    return match[0].decode() if match else ""


def write_dumps(journal: Journal, folder: Path, position: int | None = None) -> list[Path]:
    """Write the dumps of the journal and the list of deleted records into *folder*, each with its
    SHA-256; return the files.

    They are of the state at the entry *position*, None for the newest one. A dump that exists is
    not written again.
    """
    if position is None:
        position = journal.head.number if journal.head else 0
    folder.mkdir(parents=True, exist_ok=True)
    quads, turtle, gone = (
        folder / f"stocktake-{position}.{suffix}.gz" for suffix in ("nq", "ttl", "gone.csv")
    )
    if not quads.exists():
        with _write_atomically(quads) as out:
            out.writelines(canonical_quads(journal, position))
    if not turtle.exists():
        with gzip.open(quads) as text, _write_atomically(turtle) as out:
            parsed = parse(text, RdfFormat.N_QUADS, lenient=True)  # type: ignore[arg-type]  # it needs only read
            # Equal triples of several graphs are adjacent.
            triples = (triple for triple, _ in groupby(quad.triple for quad in parsed))
            serialize(triples, out, RdfFormat.TURTLE, prefixes=PREFIXES)  # type: ignore[arg-type]  # it needs only write
    if not gone.exists():
        with gzip.open(quads) as text, _write_atomically(gone) as out:
            out.writelines(deletion_rows(text))
    return [file for path in (quads, turtle, gone) for file in (path, _checksum_path(path))]


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
    with part.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    replace_file(_checksum_path(path), f"{digest}  {path.name}\n")
    part.rename(path)


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


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
        files = _sorted_files(rows, Path(folder))
        merged = heapq.merge(*[opened.enter_context(file.open("rb")) for file in files])
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


def deletion_rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of the list of records that are gone, the header first, from sorted N-Quads
    with line ends: owners of a copy delete these.
    """
    yield _csv_row(COLUMNS)
    records = (line for line in lines if b"/record/" in line[: line.find(b" ")])
    for _, group in groupby(records, key=lambda line: line[: line.find(b" ")]):
        statements = list(group)
        if any(_STATUS in line and _GONE in line for line in statements):
            yield _deletion_row(b"".join(statements))


def _deletion_row(text: bytes) -> bytes:
    """Return the row of a tombstone: of each property the English value, else one without a
    language, else any.
    """
    values: list[tuple[str, int, str]] = []
    for quad in parse(text, RdfFormat.N_QUADS, lenient=True):
        rank = {"en": 0, None: 1}.get(getattr(quad.object, "language", None), 2)
        values.append((quad.predicate.value, rank, getattr(quad.object, "value", "")))
    record = text[1 : text.index(b">")].decode()
    return _csv_row(
        record
        if end is None
        else min((value[1:] for value in values if value[0].endswith(end)), default=(0, ""))[1]
        for end in COLUMNS.values()
    )


def _csv_row(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


class DumpTotals(NamedTuple):
    """The numbers of quads and of triples of a release, and the bytes of the longest line."""

    quads: int
    triples: int
    longest: int


@contextmanager
def gzip_writer(path: Path) -> Iterator[BinaryIO]:
    """Write a gzip file in a thread of its own.

    The same content gives the same bytes on machines of one kind: isal packs differently on
    processors with other vector instructions.
    """
    with igzip_threaded.open(
        path, "wb", compresslevel=_GZIP_LEVEL, threads=1, block_size=_GZIP_BLOCK
    ) as file:
        yield file


def write_texts(lines: Iterable[bytes], folder: Path, name: str) -> DumpTotals:
    """Write the files *name* into *folder* from sorted *lines* of N-Quads: these, and their triples
    in each of TEXT_FORMATS; a triple of several graphs is written once.
    """
    quads, triples, longest, last = 0, 0, 0, b""
    path = folder / f"{name}.nt.gz"
    with gzip_writer(folder / f"{name}.nq.gz") as out, gzip_writer(path) as merged:
        for line in lines:
            out.write(line)
            quads += 1
            longest = max(longest, len(line))
            triple = line[: line.rindex(b" <")]
            if triple != last:
                merged.write(triple + b" .\n")
                triples += 1
            last = triple
    with igzip.open(path) as text, gzip_writer(folder / f"{name}.ttl.gz") as out:
        serialize(
            parse(text, RdfFormat.N_TRIPLES, lenient=True), out, RdfFormat.TURTLE, prefixes=PREFIXES
        )
    with igzip.open(path) as text, gzip_writer(folder / f"{name}.jsonld.gz") as out:
        write_json_lines(parse(text, RdfFormat.N_TRIPLES, lenient=True), out)
    return DumpTotals(quads, triples, longest)


def write_json_lines(triples: Iterable[Quad], out: BinaryIO, longest: int = CHUNK) -> None:
    """Write sorted triples as expanded JSON-LD, a subject a line, so that it can be read line by
    line; one with more than *longest* triples takes several.
    """
    out.write(b"[")
    separator = b"\n"
    for _, group in groupby(triples, key=lambda triple: triple.subject):
        while chunk := list(islice(group, longest)):
            document = serialize(chunk, format=RdfFormat.JSON_LD) or b"[]"
            out.write(separator + document.strip()[1:-1])
            separator = b",\n"
    out.write(b"\n]\n")
