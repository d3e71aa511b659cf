"""Bodies: an answer's content, read and decoded in bounded memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import httpx

from harvesters.errors import ArchiveError, ReadTimeoutError, TooLargeError, TruncatedError, UndecodableError
from harvesters.network.encoding import decode_content
from harvesters.network.ssrf_guard import Deadline

START = 256 * 1024  # bytes of a file in which it shows what it is


def read_body(response: httpx.Response, size: int, deadline: Deadline) -> bytes:
    """Read a body of at most *size* bytes, as it comes and decoded; what breaks off is never taken for the whole.

    Raises TooLargeError, ReadTimeoutError, TruncatedError or UndecodableError.
    """
    content = bytearray()
    for part in _whole(response, size, deadline):
        content += part
    return bytes(content)


def read_to_file(response: httpx.Response, path: Path, size: int, deadline: Deadline) -> tuple[bytes, str]:
    """Read a body into the file at *path*, as ``body`` reads it; give its beginning, and a digest of the whole in hexadecimal.

    Raises ArchiveError where there is no room for it.
    """
    start, digest = bytearray(), blake2b(digest_size=8)
    try:
        with path.open("wb") as file:
            for part in _whole(response, size, deadline):
                if len(start) < START:
                    start += part[: START - len(start)]
                digest.update(part)
                file.write(part)
    except OSError as error:
        raise ArchiveError(f"{response.url}: cannot be kept in {path.parent}: {error.strerror}; make room, then run again") from error
    return bytes(start), digest.hexdigest()


def _whole(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Give the body decoded, part by part; raises where it ends too soon, too late, or not in its encoding."""
    came = 0
    try:
        for part in decode_content(_parts(response, size, deadline), response.headers.get("content-encoding", "")):
            came += len(part)
            _check(response.url, came, size, deadline)
            yield part
    except ValueError as error:
        raise UndecodableError(f"{response.url}: its body is not in the encoding that it declares: {error}") from error
    except httpx.TimeoutException as error:
        raise ReadTimeoutError(f"{response.url}: stalled after {came} bytes: {error or type(error).__name__}") from error
    except httpx.TransportError as error:
        raise TruncatedError(f"{response.url}: broke off after {came} bytes: {error}") from error


def _parts(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Give the body as it comes; encodings that unfold to nothing must not go on for ever either."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    came = 0
    for part in response.stream:
        came += len(part)
        _check(response.url, came, size, deadline)
        yield part


def _check(url: httpx.URL, came: int, size: int, deadline: Deadline) -> None:
    if came > size:
        raise TooLargeError(f"{url}: over {size} bytes; ask for smaller pages in the options of the source definition")
    if deadline.is_over:
        raise ReadTimeoutError(f"{url}: its answer did not end in the time that an answer has")
