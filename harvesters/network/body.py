"""Bodies: an answer's content, read and decoded in bounded memory and time."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from harvesters.errors import StalledError, TooLargeError, TruncatedError, UndecodableError
from harvesters.network.address import Deadline
from harvesters.network.encoding import decoded


def body(response: httpx.Response, size: int, deadline: Deadline) -> bytes:
    """Read a body of at most *size* bytes, as it comes and decoded; what breaks off is never taken for the whole.

    Raises TooLargeError, StalledError, TruncatedError or UndecodableError.
    """
    content = bytearray()
    try:
        for part in decoded(_parts(response, size, deadline), response.headers.get("content-encoding", "")):
            content += part
            _check(response.url, len(content), size, deadline)
    except ValueError as error:
        raise UndecodableError(f"{response.url}: its body is not in the encoding that it declares: {error}") from error
    except httpx.TimeoutException as error:
        raise StalledError(f"{response.url}: stalled after {len(content)} bytes: {error or type(error).__name__}") from error
    except httpx.TransportError as error:
        raise TruncatedError(f"{response.url}: broke off after {len(content)} bytes: {error}") from error
    return bytes(content)


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
        raise TooLargeError(f"{url}: over {size} bytes; ask for smaller pages in the card's options")
    if deadline.over:
        raise StalledError(f"{url}: its answer did not end in the time that an answer has")
