"""Download large files in ranges, so that memory stays flat and interrupted downloads resume."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from harvesters.errors import MirrorError, ParseError, TooLargeError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply

PIECE = 16 << 20  # Bytes that are requested at once.
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _PartialDownload:
    """A partial download: the file's ETag and total size in bytes."""

    etag: str | None
    total: int


def download_resumable(client: Fetch, url: str, path: Path, max_bytes: int) -> bool:
    """Download the file at *url* to *path*, at most *max_bytes*; return whether an earlier download
    was resumed.

    Raises FetchError, ParseError if ranges do not fit together, and MirrorError if the disk is
    full.
    """
    known = _load_partial(path)
    received = path.stat().st_size if known and path.exists() else 0
    resumed = received > 0
    while known is None or received < known.total:
        reply = client.get_range(
            url, range(received, received + PIECE), known.etag if known else None
        )
        start, reported = _read_range(reply)
        if reply.status == 206 and (
            start != received or not reply.content or (known is not None and reported != known)
        ):
            discard(path)
            raise ParseError(
                "%(url)s: its ranges do not fit together; the next attempt starts again", url=url
            )
        try:
            if known is None or reply.status == 200:
                _check(url, path, reported.total, max_bytes)
                _state_path(path).write_text(json.dumps(asdict(reported)))
            with path.open("ab" if start else "wb") as file:
                file.write(reply.content)
        except OSError as error:
            raise MirrorError(f"{path} cannot be written: {error}") from error
        known, received = reported, start + len(reply.content)
    return resumed


def stored_etag(path: Path) -> str | None:
    """Return the ETag of the file that ``download_resumable`` wrote to *path*, None if the server
    sent none.
    """
    known = _load_partial(path)
    return known.etag if known else None


def is_unchanged(client: Fetch, url: str, etag: str) -> bool:
    """Return whether the file at *url* still has the strong *etag*, by a request for its first
    byte. Raises FetchError.
    """
    return bool(client.get_range(url, range(1), etag).headers.get("etag") == etag)


def discard(path: Path) -> None:
    """Delete the file at *path* and its state."""
    path.unlink(missing_ok=True)
    _state_path(path).unlink(missing_ok=True)


def _read_range(reply: Reply) -> tuple[int, _PartialDownload]:
    etag = reply.headers.get("etag")
    if reply.status == 200:
        return 0, _PartialDownload(etag, len(reply.content))
    match = _RANGE.match(reply.headers.get("content-range", ""))
    if match is None:
        raise ParseError("%(url)s: answered 206 without a valid Content-Range", url=reply.url)
    return int(match[1]), _PartialDownload(etag, int(match[3]))


def _check(url: str, path: Path, total: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise TooLargeError(
            "%(url)s: has %(size)s bytes, more than the limit of %(limit)s; raise --largest if "
            "you trust it",
            url=url,
            size=total,
            limit=max_bytes,
        )
    if total > (free := shutil.disk_usage(path.parent).free):
        raise MirrorError(f"{url}: has {total} bytes, but only {free} are free in {path.parent}")


def _state_path(path: Path) -> Path:
    return path.with_name(path.name + ".tag")


def _load_partial(path: Path) -> _PartialDownload | None:
    try:
        return _PartialDownload(**json.loads(_state_path(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None
