"""Read and decode a response's body in bounded memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import httpx

from harvesters.errors import (
    ArchiveError,
    ReadTimeoutError,
    TooLargeError,
    TruncatedError,
    UndecodableError,
)
from harvesters.network.encoding import decode_content
from harvesters.reasons import Reason, Value
from web.outbound_client import Deadline

START = 256 * 1024  # bytes of a file in which it shows what it is
# An encoded body is refused once it decodes to more than this many bytes and this many times its
# size: it would else fill the disk up to the limit of a file. A gzip bomb decodes to 230 to 1,030 times.
_BOMB = 256 * 1024 * 1024
_RATIO = 200


def read_body(response: httpx.Response, size: int, deadline: Deadline) -> bytes:
    """Read a body of at most *size* bytes, as received and decoded; an incomplete body is never
    returned.

    Raises TooLargeError, ReadTimeoutError, TruncatedError or UndecodableError.
    """
    content = bytearray()
    for part in _decoded_parts(response, size, deadline):
        content += part
    return bytes(content)


def read_to_file(
    response: httpx.Response, path: Path, size: int, deadline: Deadline
) -> tuple[bytes, str]:
    """Read a body into the file at *path*, like ``read_body``; return its beginning, and a
    hexadecimal digest of the whole.

    Raises ArchiveError if the disk is full.
    """
    start, digest = bytearray(), blake2b(digest_size=8)
    try:
        with path.open("wb") as file:
            for part in _decoded_parts(response, size, deadline):
                if len(start) < START:
                    start += part[: START - len(start)]
                digest.update(part)
                file.write(part)
    except OSError as error:
        values = {
            "url": str(response.url),
            "folder": str(path.parent),
            "error": error.strerror or "",
        }
        raise ArchiveError(
            Reason(
                "%(url)s: cannot be kept in %(folder)s: %(error)s; free space, then run again",
                **values,
            )
        ) from error
    return bytes(start), digest.hexdigest()


def _decoded_parts(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the decoded body in parts; raises if it is truncated, too slow, or does not match its
    encoding.
    """
    received = 0
    raw = _RawBody(response, size, deadline)
    try:
        for part in decode_content(raw, response.headers.get("content-encoding", "")):
            received += len(part)
            _check(response.url, received, size, deadline)
            if received > max(_BOMB, _RATIO * raw.size):
                raise ValueError(f"it decodes to more than {_RATIO} times its size")
            yield part
    except ValueError as error:
        raise UndecodableError(
            Reason(
                "%(url)s: its body is not in the encoding that it declares: %(error)s",
                url=str(response.url),
                error=str(error),
            )
        ) from error
    except httpx.TimeoutException as error:
        values: dict[str, Value] = {
            "url": str(response.url),
            "size": received,
            "error": str(error) or type(error).__name__,
        }
        raise ReadTimeoutError(
            Reason("%(url)s: stalled after %(size)s bytes: %(error)s", **values)
        ) from error
    except httpx.TransportError as error:
        raise TruncatedError(
            Reason(
                "%(url)s: broke off after %(size)s bytes: %(error)s",
                url=str(response.url),
                size=received,
                error=str(error),
            )
        ) from error


class _RawBody:
    """The body as received, *size* bytes so far; the limits also apply to encoded data that decodes
    to nothing.
    """

    def __init__(self, response: httpx.Response, limit: int, deadline: Deadline) -> None:
        self.size = 0
        self._response, self._limit, self._deadline = response, limit, deadline

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._response.stream, httpx.SyncByteStream)
        for part in self._response.stream:
            self.size += len(part)
            _check(self._response.url, self.size, self._limit, self._deadline)
            yield part


def _check(url: httpx.URL, received: int, size: int, deadline: Deadline) -> None:
    if received > size:
        raise TooLargeError(
            Reason(
                "%(url)s: over %(limit)s bytes; ask for smaller pages in the options of the source "
                "definition",
                url=str(url),
                limit=size,
            )
        )
    if deadline.is_over:
        raise ReadTimeoutError(
            Reason("%(url)s: the response exceeded its time limit", url=str(url))
        )
