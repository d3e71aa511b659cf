"""Decode a body by its Content-Encoding in chunks, so that a decompression bomb is detected early.

Source: https://www.rfc-editor.org/rfc/rfc9110#name-content-codings
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

import zstandard

OFFERED = "gzip, deflate, zstd"
_OUTPUT_CHUNK = 64 * 1024  # bytes that are unfolded at once
# bytes of zstd that are fed at once: 4 can unfold to 128 KiB, so these to 2 MiB
_ZSTD_INPUT_CHUNK = 64
_WINDOW = 8 * 1024 * 1024  # bytes: what RFC 8878 asks every decoder to support, and no more
_MAX_ENCODINGS = 2  # nested encodings; honest servers use one

Parts = Iterable[bytes]


def decode_content(parts: Parts, encoding: str) -> Iterator[bytes]:
    """Decode a body by its Content-Encoding, in chunks of at most 2 MiB; raises ValueError if it is
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
        raise ValueError("its gzip ends in the middle")


def _deflate(parts: Parts) -> Iterator[bytes]:
    """Decompress deflate, with zlib's header as specified or without as many servers send it."""
    stream = None
    for part in parts:
        if stream is None and part:
            stream = zlib.decompressobj(15 if part[0] & 0x0F == 8 else -15)
        if stream is not None:
            yield from _inflate(stream, part)
    if stream is not None and not stream.eof:
        raise ValueError("its deflate ends in the middle")


def _inflate(stream: zlib._Decompress, part: bytes) -> Iterator[bytes]:
    try:
        # at its end, the decoder would return the rest again and again
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
        raise ValueError("its zstd ends in the middle")


_DECODERS: dict[str, Callable[[Parts], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
