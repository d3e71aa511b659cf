"""The archive: every reply as it came, in WARC files, one a run, before anything parses it.

Source: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from isal import igzip
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from harvesters.errors import ArchiveError
from harvesters.record import Position

# A reply is stored as it was read, so what told how it travelled is no longer true of it.
_TRAVEL = {"content-encoding", "transfer-encoding", "content-length"}


class Archive:
    """The WARC file of one run below *folder*; *keep_bytes* is where a resumed run goes on, what lies behind is cut off.

    Raises ArchiveError, here and in ``keep``, where the file cannot be written: the run ends, since a reply that is not kept must
    not be read.
    """

    def __init__(self, folder: Path, source: str, run: str, keep_bytes: int = 0) -> None:
        self.folder = folder
        self.name = f"{source}/{run}.warc.gz"
        path = folder / self.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise _unwritten(path, error) from error
        try:
            self._file.truncate(keep_bytes)
            self._file.seek(keep_bytes)
        except OSError as error:
            self._file.close()
            raise _unwritten(path, error) from error

    @property
    def length(self) -> int:
        """Give the bytes written so far, which a checkpoint names."""
        return self._file.tell()

    def keep(self, url: str, status: int, headers: Sequence[tuple[str, str]], content: bytes) -> Position:
        """Write one reply as a gzip member of its own and tell where it lies."""
        writer = WARCWriter(buffer := io.BytesIO(), gzip=False)
        _write(writer, url, status, headers, io.BytesIO(content), len(content))
        member = igzip.compress(buffer.getvalue(), compresslevel=1)
        offset = self._file.tell()
        try:
            self._file.write(member)
            self._file.flush()
        except OSError as error:
            raise _unwritten(self.folder / self.name, error) from error
        return Position(self.name, offset, len(member))

    def keep_file(self, url: str, status: int, headers: Sequence[tuple[str, str]], path: Path) -> Position:
        """Write one reply whose body lies at *path*, piece by piece, and tell where it lies."""
        offset = self._file.tell()
        try:
            with path.open("rb") as body, igzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1) as member:
                _write(WARCWriter(member, gzip=False), url, status, headers, body, path.stat().st_size)
            self._file.flush()
        except OSError as error:
            raise _unwritten(self.folder / self.name, error) from error
        return Position(self.name, offset, self._file.tell() - offset)

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:  # it tries to write what could not be written before
            raise _unwritten(self.folder / self.name, error) from error


def _write(writer: WARCWriter, url: str, status: int, headers: Sequence[tuple[str, str]], body: BinaryIO, length: int) -> None:
    kept = [(name, value) for name, value in headers if name.lower() not in _TRAVEL] + [("Content-Length", str(length))]
    http = StatusAndHeaders(str(status), kept, protocol="HTTP/1.1")
    times = {"WARC-Date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    writer.write_record(writer.create_warc_record(url, "response", body, length, http_headers=http, warc_headers_dict=times))


def _unwritten(path: Path, error: OSError) -> ArchiveError:
    return ArchiveError(f"archive {path}: {error.strerror}; make room or mend the folder, then run again")


def read(folder: Path, at: Position) -> bytes:
    """Give back the body of the reply that lies *at* this position."""
    with (folder / at.file).open("rb") as file:
        file.seek(at.offset)
        record = next(ArchiveIterator(io.BytesIO(file.read(at.length))))
        return bytes(record.content_stream().read())
