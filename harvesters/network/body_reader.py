"""Read and decode a response's body in bounded memory and time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import httpx
import zstandard

from harvesters.errors import (
    ArchiveError,
    TooLargeError,
    TransferError,
)
from harvesters.reasons import Reason
from web.outbound_client import Deadline

OFFERED = "gzip, deflate, zstd"
_OUTPUT_CHUNK = 64 * 1024  # Bytes that are decompressed at once.
# Bytes of zstd that are decompressed at once: 4 can grow to 128 KiB, so 64 to 2 MiB.
_ZSTD_INPUT_CHUNK = 64
_WINDOW = (
    8 * 1024 * 1024
)  # Bytes of zstd's window: the size that RFC 8878 asks decoders to support.
_MAX_ENCODINGS = 2  # Nested encodings; honest servers use one.

Parts = Iterable[bytes]


def decode_content(parts: Parts, encoding: str) -> Iterator[bytes]:
    """Decode a body by its Content-Encoding, in chunks of at most 2 MiB. Raise ValueError if it is
    invalid.
    """
    names = [
        name
        for name in (part.strip().lower() for part in encoding.split(","))
        if name and name != "identity"
    ]
    if len(names) > _MAX_ENCODINGS:
        raise ValueError(f"{len(names)} nested encodings")
    for name in reversed(names):
        if name not in _DECODERS:
            raise ValueError(f"encoded as {name[:40]!r}, which was not requested")
        parts = _DECODERS[name](parts)
    yield from parts


def _gzip(parts: Parts) -> Iterator[bytes]:
    """Decompress gzip with any number of members; zeros after the last are padding."""
    member, started = zlib.decompressobj(31), False
    for part in parts:
        while part:
            if member.eof:
                part = part.lstrip(b"\0")
                if not part:
                    break
                member, started = zlib.decompressobj(31), False
            started = True
            yield from _inflate(member, part)
            part = member.unused_data
    if not member.eof and started:
        raise ValueError("its gzip data are truncated")


def _deflate(parts: Parts) -> Iterator[bytes]:
    """Decompress deflate, with zlib's header as specified or without as many servers send it."""
    stream = None
    for part in filter(None, parts):
        stream = stream or zlib.decompressobj(15 if part[0] & 0x0F == 8 else -15)
        yield from _inflate(stream, part)
    if stream is not None and not stream.eof:
        raise ValueError("its deflate data are truncated")


def _inflate(stream: zlib._Decompress, part: bytes) -> Iterator[bytes]:
    try:
        # At the end of the stream, the decoder would return the rest again and again.
        while part and not stream.eof:
            yield stream.decompress(part, _OUTPUT_CHUNK)
            part = stream.unconsumed_tail
        while not stream.eof and (more := stream.decompress(b"", _OUTPUT_CHUNK)):
            yield more
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _zstd(parts: Parts) -> Iterator[bytes]:
    stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj(
        read_across_frames=False
    )
    started = False
    try:
        for part in parts:
            for start in range(0, len(part), _ZSTD_INPUT_CHUNK):
                if stream.eof:
                    raise ValueError("there is data after its zstd frame")
                started = True
                yield stream.decompress(part[start : start + _ZSTD_INPUT_CHUNK])
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if started and not stream.eof:
        raise ValueError("its zstd data are truncated")


_DECODERS: dict[str, Callable[[Parts], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}


START = 256 * 1024  # Bytes at the beginning of a file that show its format.
# An encoded body is refused once it decodes to more bytes than this, and to more than _RATIO times its
# size: it would else fill the disk up to the limit of a file. A gzip bomb grows 230 to 1,030 times.
_BOMB = 256 * 1024 * 1024
_RATIO = 200


def read_body(response: httpx.Response, size: int, deadline: Deadline) -> bytes:
    """Read a body of at most *size* bytes, as received and decoded; an incomplete body is never
    returned.

    Raises TooLargeError or TransferError.
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
        raise ArchiveError(
            "%(url)s: cannot be stored in %(folder)s: %(error)s; free space, then run again",
            url=str(response.url),
            folder=str(path.parent),
            error=error.strerror or "",
        ) from error
    return bytes(start), digest.hexdigest()


def _decoded_parts(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the decoded body in parts. Raise TransferError if it is truncated, too slow, or does not
    match its encoding, TooLargeError over *size* bytes. The limits also apply to encoded data that
    decodes to nothing.
    """
    url, received, raw = str(response.url), 0, 0

    def raw_parts() -> Iterator[bytes]:
        nonlocal raw
        assert isinstance(response.stream, httpx.SyncByteStream)
        for part in response.stream:
            raw += len(part)
            _check(url, raw, size, deadline)
            yield part

    try:
        for part in decode_content(raw_parts(), response.headers.get("content-encoding", "")):
            received += len(part)
            _check(url, received, size, deadline)
            if received > max(_BOMB, _RATIO * raw):
                raise ValueError(f"it decodes to more than {_RATIO} times its size")
            yield part
    except ValueError as error:
        text = "%(url)s: its body is not in the encoding that it declares: %(error)s"
        raise TransferError(text, "undecodable", url=url, error=str(error)) from error
    except httpx.TimeoutException as error:
        text = "%(url)s: stalled after %(size)s bytes: %(error)s"
        why = str(error) or type(error).__name__
        raise TransferError(text, "stalled", url=url, size=received, error=why) from error
    except httpx.TransportError as error:
        text = "%(url)s: broke off after %(size)s bytes: %(error)s"
        fault = Reason(text, url=url, size=received, error=str(error))
        raise TransferError(fault, "truncated") from error


def _check(url: str, received: int, size: int, deadline: Deadline) -> None:
    if received > size:
        raise TooLargeError(
            "%(url)s: larger than %(limit)s bytes; request smaller pages in the options of the "
            "source definition",
            url=url,
            limit=size,
        )
    if deadline.is_over:
        raise TransferError("%(url)s: the response exceeded its time limit", "stalled", url=url)
