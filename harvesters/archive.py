"""Archive every response in WARC files, one per run, before anything parses it, and replay them
as if the registry answered.

Source: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/
"""

from __future__ import annotations

import io
import os
import shutil
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, takewhile
from pathlib import Path
from typing import BinaryIO, cast

import httpx
from isal import igzip, isal_zlib
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from harvesters.errors import ArchiveError, RefusedError
from harvesters.page_model import SourcePosition
from journal.errors import JournalWriteError
from journal.journal import Fault
from journal.store import Store

_BLOCK = 1 << 20  # bytes decompressed at once
_TAIL_BLOCK = 1 << 16  # bytes read at once, which may decompress to 64 MB
_REMEDY = "restore this file from a backup; without it, these responses cannot be mapped again"
# Statuses after which a request was retried.
RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_ERASED_STATUS = 410  # status of a response whose content was erased
_ROOM = "archive"  # the archive's folder in an object store
# Statuses after which a resumed run sends a request again: temporary failures, and "not modified",
# since it no longer sends the validators.
_NOT_REPLAYED = {304, *RETRIED_STATUSES}

# A reply is stored as it was read, so headers about its transfer no longer apply.
_TRAVEL = {"content-encoding", "transfer-encoding", "content-length"}


class Archive:
    """The WARC file of one run below *folder*; *keep_bytes* is the length at the last checkpoint.

    Whole responses after the checkpoint stay, and so does the robots.txt: ``find`` answers the
    requests of a resumed run with them, so that its registry is not asked again.

    The constructor and ``write_response`` raise ArchiveError if the file cannot be written: the run
    ends, since a response that is not archived must not be read. A response that could not be
    written whole is removed when the file is closed.
    """

    def __init__(
        self, folder: Path, source: str, run: str, keep_bytes: int = 0, store: Store | None = None
    ) -> None:
        self.folder = folder
        self.name = f"{source}/{run}.warc.gz"
        self._store, self._shared, self._begun = store, keep_bytes, time.time_ns()
        self._used = self._checkpoint = keep_bytes
        path = folder / self.name
        with _archive_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if store and keep_bytes and (not path.exists() or path.stat().st_size < keep_bytes):
                _assemble(store, self.name, path)
            self._file = path.open("ab")
        try:
            with _archive_errors(path):
                # The length of the complete responses, and whether nothing follows them.
                self._whole, self._is_whole = _end_of_members(path, keep_bytes), True
                self._file.truncate(self._whole)
                self._file.seek(self._whole)
        except ArchiveError:
            self._file.close()
            raise
        # The robots.txt files at the beginning, and the responses after the checkpoint.
        first = list_responses(self.folder, self.name) if keep_bytes else iter(())
        robots = takewhile(lambda response: response.url.endswith("/robots.txt"), first)
        tail = list_responses(self.folder, self.name, start=keep_bytes)
        stored = chain(robots, tail if self._whole > keep_bytes else ())
        self._stored = by_url(
            response for response in stored if response.status not in _NOT_REPLAYED
        )

    def find(self, url: str) -> ArchivedResponse | None:
        """Return the next stored response to a request, or None."""
        if not (responses := self._stored.get(url)):
            return None
        response = responses.popleft()
        position = response.position
        self._used = max(self._used, position.offset + position.length)
        return replace(response, is_new=position.offset >= self._checkpoint)

    @property
    def length(self) -> int:
        """Return the number of bytes up to the last response that was used, which a checkpoint
        records.
        """
        return self._used

    def write_response(
        self,
        url: str,
        status: int,
        headers: Sequence[tuple[str, str]],
        content: bytes | Path,
    ) -> SourcePosition:
        """Write one response as a gzip member of its own and return its position; a body in a file
        is read in chunks.
        """
        with (
            _archive_errors(self.folder / self.name),
            content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as body,
        ):
            length = content.stat().st_size if isinstance(content, Path) else len(content)
            offset, self._is_whole = self._file.tell(), False
            # A record is written in many small pieces, which are slow to compress one by one.
            with (
                igzip.GzipFile("", "wb", compresslevel=1, fileobj=self._file) as member,
                io.BufferedWriter(member, _TAIL_BLOCK) as whole,
            ):
                _write(whole, url, status, headers, body, length)
            self._file.flush()
            self._whole = self._used = self._file.tell()
            self._is_whole = True
        return SourcePosition(self.name, offset, self._whole - offset)

    def publish_file(self) -> None:
        """Upload what was written since the last call to the object store, if there is one, before
        a checkpoint refers to it.
        """
        self._file.flush()
        if self._store is None or self._whole == self._shared:
            return
        path = self.folder / self.name
        piece = path.with_suffix(".piece")
        with path.open("rb") as whole, piece.open("wb") as part:
            whole.seek(self._shared)
            shutil.copyfileobj(whole, part)
        try:
            self._store.add(f"{_ROOM}/{self.name}/{self._shared:015d}-{self._begun:020d}", piece)
        except JournalWriteError as error:
            raise ArchiveError(str(error)) from error
        finally:
            piece.unlink()
        self._shared = self._whole

    def close(self) -> None:
        try:
            with _archive_errors(self.folder / self.name):  # Closing writes buffered bytes again.
                self._file.close()
        finally:
            if not self._is_whole:
                with suppress(OSError):
                    os.truncate(self.folder / self.name, self._whole)


def discard_file(folder: Path, source: str, run: str) -> None:
    """Delete the file of an earlier run with the same id, such as a dry run: a new run must not be
    answered from it. Raises ArchiveError.
    """
    path = folder / f"{source}/{run}.warc.gz"
    with _archive_errors(path):
        path.unlink(missing_ok=True)


def _write(
    file: BinaryIO,
    url: str,
    status: int,
    headers: Sequence[tuple[str, str]],
    body: BinaryIO,
    length: int,
) -> None:
    stored_headers = [(name, value) for name, value in headers if name.lower() not in _TRAVEL] + [
        ("Content-Length", str(length))
    ]
    http = StatusAndHeaders(str(status), stored_headers, protocol="HTTP/1.1")
    date = {"WARC-Date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    writer = WARCWriter(file, gzip=False)
    writer.write_record(
        writer.create_warc_record(
            url, "response", body, length, http_headers=http, warc_headers_dict=date
        )
    )


def _assemble(store: Store, name: str, path: Path) -> None:
    """Assemble a file from the parts that other machines uploaded to the object store.

    A worker that crashed may have uploaded parts that no checkpoint refers to; at each offset the
    part of the later worker wins.
    """
    part_path = path.with_suffix(".got")
    newest = {int(piece.partition("-")[0]): piece for piece in store.names(f"{_ROOM}/{name}")}
    with path.open("wb") as whole:
        while (piece := newest.get(whole.tell())) and store.get(
            f"{_ROOM}/{name}/{piece}", part_path
        ):
            with part_path.open("rb") as part:
                shutil.copyfileobj(part, whole)
    part_path.unlink(missing_ok=True)


_NOT_WRITTEN = "archive %(path)s: %(error)s; free disk space or fix the directory, then run again"
_NOT_READ = "archive %(path)s: %(error)s; missing responses must be requested again"


@contextmanager
def _archive_errors(path: Path, text: str = _NOT_WRITTEN) -> Iterator[None]:
    """Raise ArchiveError with *text* if the file at *path* cannot be written or read."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(text, path=str(path), error=error.strerror or "") from error


@contextmanager
def open_body(folder: Path, position: SourcePosition) -> Iterator[BinaryIO]:
    """Open the body of the response at *position* for reading in chunks."""
    with (folder / position.file).open("rb") as file:
        file.seek(position.offset)
        yield cast(BinaryIO, next(ArchiveIterator(file)).content_stream())


def erase_response(folder: Path, position: SourcePosition) -> None:
    """Overwrite the response at *position* by one of the same length with status 410 and no
    content, so that no other one moves.

    Raises ArchiveError if the file is missing or cannot be written.
    """
    path = folder / position.file
    try:
        with path.open("r+b") as file:
            file.seek(position.offset)
            record = next(ArchiveIterator(io.BytesIO(file.read(position.length))))
            url = record.rec_headers.get_header("WARC-Target-URI")
            file.seek(position.offset)
            file.write(_blank_member(url, position.length))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ArchiveError(
            f"archive {path}: {error.strerror}; the response at byte {position.offset} is not erased"
        ) from error


def _blank_member(url: str, length: int) -> bytes:
    """Return a response without content as a gzip member of exactly *length* bytes.

    Bytes are added in the gzip header's comment, which readers skip
    (https://www.rfc-editor.org/rfc/rfc1952#page-5).
    """
    _write(buffer := io.BytesIO(), url, _ERASED_STATUS, [], io.BytesIO(b""), 0)
    plain = igzip.compress(buffer.getvalue(), compresslevel=3, mtime=0)
    padding = length - len(plain) - 1
    if padding < 0:  # No record is as short as this response.
        plain = igzip.compress(b"", compresslevel=3, mtime=0)
        padding = length - len(plain) - 1
    comment = 0x10
    return bytes(
        plain[:3] + bytes([plain[3] | comment]) + plain[4:10] + b" " * padding + b"\0" + plain[10:]
    )


@dataclass(frozen=True, slots=True)
class ArchivedResponse:
    """An archived response: URL, status, headers, and where its body is stored below *folder*.
    *is_new*: no checkpoint counts it yet.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    position: SourcePosition
    folder: Path
    is_new: bool = True

    def open(self) -> httpx.Response:
        """Return the response as a client receives it, its body read in chunks."""
        body = _read_chunks(self.folder, self.position)
        request = httpx.Request("GET", self.url)
        return httpx.Response(
            self.status, headers=list(self.headers), content=body, request=request
        )


def _read_chunks(folder: Path, position: SourcePosition) -> Iterator[bytes]:
    with open_body(folder, position) as body:
        yield from iter(lambda: body.read(_TAIL_BLOCK), b"")


def list_responses(
    folder: Path, name: str, store: Store | None = None, start: int = 0
) -> Iterator[ArchivedResponse]:
    """Yield the responses in a run's file *name* from byte *start* on, in the order received.
    Raises ArchiveError if the file is missing.
    """
    _fetch(folder, name, store)
    path = folder / name
    with _archive_errors(path, _NOT_READ), path.open("rb") as file:
        file.seek(start)
        records = ArchiveIterator(file)
        for record in records:
            http, url = record.http_headers, record.rec_headers.get_header("WARC-Target-URI")
            records.read_to_end(record)
            position = SourcePosition(
                name, records.get_record_offset(), records.get_record_length()
            )
            status = int(http.get_statuscode())
            yield ArchivedResponse(url, status, tuple(http.headers), position, folder)


def by_url(responses: Iterable[ArchivedResponse]) -> dict[str, deque[ArchivedResponse]]:
    """Return the responses to each address, in order."""
    listed: dict[str, deque[ArchivedResponse]] = {}
    for response in responses:
        listed.setdefault(response.url, deque()).append(response)
    return listed


def _end_of_members(path: Path, start: int) -> int:
    """Return where the last whole gzip member of a file ends; *start* is the end of one. A killed
    process may leave a part of another one after it.
    """
    end, member = start, zlib.decompressobj(31)
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_TAIL_BLOCK):
            while block:
                try:
                    member.decompress(block)
                except zlib.error:
                    return end
                block = member.unused_data
                if member.eof:
                    end, member = file.tell() - len(block), zlib.decompressobj(31)
    return end


def archive_faults(folder: Path) -> Iterator[Fault]:
    """Yield the archive files with a response that cannot be decompressed to its checksum; reads
    about 300 MB a second.
    """
    for path in sorted(folder.glob("*/*.warc.gz")):
        read = 0
        try:
            with igzip.open(path, "rb") as file:
                while block := file.read(_BLOCK):
                    read += len(block)
        except (EOFError, OSError, isal_zlib.IsalError, zlib.error) as error:
            yield Fault(
                f"{folder.name}/{path.relative_to(folder)}",
                f"damaged after {read:,} uncompressed bytes: {error}",
                _REMEDY,
            )


def _fetch(folder: Path, name: str, store: Store | None) -> None:
    if store and not (folder / name).exists():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _assemble(store, name, folder / name)


@dataclass(slots=True)
class Replay:
    """The responses of the archive *name* below *folder*, for ``Fetch``: those of each request in
    order.

    If *is_complete*, the run had no network failures, and a request without a response raises
    ArchiveError. Otherwise such a request counts as one that was not answered.
    """

    folder: Path
    name: str
    store: Store | None = None
    is_complete: bool = True
    _responses: dict[str, deque[ArchivedResponse]] = field(init=False)

    def __post_init__(self) -> None:
        """Load the list of responses; raises ArchiveError if the file is missing."""
        self._responses = by_url(list_responses(self.folder, self.name, self.store))

    def find(self, url: str) -> ArchivedResponse:
        """Return the next response to a request; one after which it was retried is skipped, and the
        last one is repeated.
        """
        responses = self._responses.get(url)
        if not responses and not self.is_complete:
            raise RefusedError(
                "%(url)s: did not answer when the archive %(archive)s was written",
                url=url,
                archive=self.name,
            )
        if not responses:
            raise ArchiveError(
                "%(url)s is not in the archive %(archive)s; the source or a protocol may have "
                "changed; `stocktake harvest --full` requests it again",
                url=url,
                archive=self.name,
            )
        while len(responses) > 1 and responses[0].status in RETRIED_STATUSES:
            responses.popleft()
        return responses.popleft() if len(responses) > 1 else responses[0]
