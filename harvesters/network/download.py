"""Downloads: a file is brought in pieces, so that memory stays flat and what breaks off goes on where it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harvesters.errors import MirrorError, ParseError, TooLargeError
from harvesters.network.fetch import Fetch, Reply

PIECE = 16 << 20  # bytes asked for at once
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _PartialDownload:
    """What its owner calls the file, and its bytes in all."""

    etag: str | None
    total: int


def download_resumable(door: Fetch, url: str, path: Path, most: int) -> bool:
    """Bring the file at *url* to *path*, at most *most* bytes; tell whether a part of it was there from an earlier try.

    Raises FetchError, ParseError where pieces do not fit together, and MirrorError where there is no room.
    """
    known = _known(path)
    have = path.stat().st_size if known and path.exists() else 0
    resumed = have > 0
    while known is None or have < known.total:
        reply = door.get_range(url, range(have, have + PIECE), known.etag if known else None)
        start, told = _told(reply)
        if reply.status == 206 and (start != have or not reply.content or (known is not None and told != known)):
            discard(path)
            raise ParseError(f"{url}: the pieces of it do not fit together; it is asked for anew next time")
        with _room(path):
            if known is None or reply.status == 200:
                _check(url, path, told.total, most)
                _tag(path).write_text(json.dumps(asdict(told)))
            with path.open("ab" if start else "wb") as file:
                file.write(reply.content)
        known, have = told, start + len(reply.content)
    return resumed


def stored_etag(path: Path) -> str | None:
    """Return the ETag of the file that ``bring`` wrote to *path*, None where its owner sent none."""
    known = _known(path)
    return known.etag if known else None


def is_unchanged(door: Fetch, url: str, etag: str) -> bool:
    """Return whether the file at *url* still has the strong *etag*, by a request for its first byte. Raises FetchError."""
    return bool(door.get_range(url, range(1), etag).headers.get("etag") == etag)


def discard(path: Path) -> None:
    """Remove what was brought to *path* and what is known of it."""
    path.unlink(missing_ok=True)
    _tag(path).unlink(missing_ok=True)


def _told(reply: Reply) -> tuple[int, _PartialDownload]:
    """Give where the reply's bytes begin in the file, and what it says of the file."""
    etag = reply.headers.get("etag")
    if reply.status == 200:
        return 0, _PartialDownload(etag, len(reply.content))
    match = _RANGE.match(reply.headers.get("content-range", ""))
    if match is None:
        raise ParseError(f"{reply.url}: answered with a part, but does not tell which")
    return int(match[1]), _PartialDownload(etag, int(match[3]))


def _check(url: str, path: Path, total: int, most: int) -> None:
    if total > most:
        raise TooLargeError(f"{url}: has {total} bytes, more than the {most} that may come; raise --largest if you trust it")
    if total > (free := shutil.disk_usage(path.parent).free):
        raise MirrorError(f"{url}: has {total} bytes, but {path.parent} has room for {free} only")


@contextmanager
def _room(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MirrorError(f"{path} cannot be written: {error}") from error


def _tag(path: Path) -> Path:
    return path.with_name(path.name + ".tag")


def _known(path: Path) -> _PartialDownload | None:
    try:
        return _PartialDownload(**json.loads(_tag(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None
