"""A response of a registry, and where it is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import httpx

from harvesters.stored_response import SourcePosition

_REDIRECT_STATUSES = {301, 302, 303, 307, 308}


class StoredResponse(Protocol):
    """An archived response that answers a request; ``harvesters.archive`` implements it."""

    @property
    def position(self) -> SourcePosition: ...
    @property
    def is_new(self) -> bool: ...  # Whether its request has not been counted yet.
    def open(self) -> httpx.Response: ...


class ResponseArchive(Protocol):
    """Stores a reply, with the digest of its *request*, before anything parses it;
    ``harvesters.archive`` implements it.
    """

    def write_response(
        self, url: str, status: int, headers: list[tuple[str, str]], content: bytes, request: str
    ) -> SourcePosition:
        """Store a reply and return its position."""
        ...

    def write_file(
        self, url: str, status: int, headers: list[tuple[str, str]], path: Path, request: str
    ) -> SourcePosition:
        """Store a reply whose body is a file, and return its position."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: *content* is decoded, *at* is its position in the archive.

    If the body was downloaded into a file (*path*), *content* is its beginning, and *file_digest* a
    digest of the whole. A reply ``without_content`` has the digest too.
    """

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    at: SourcePosition | None = None
    path: Path | None = None
    file_digest: str = ""

    @property
    def not_modified(self) -> bool:
        """Return whether nothing has changed (304): as the registry reports, or by the digest of
        the body.
        """
        return self.status == 304

    @property
    def digest(self) -> str:
        return self.file_digest or blake2b(self.content, digest_size=8).hexdigest()

    def without_content(self) -> Reply:
        """Return the response with the digest of its body in place of the body, so that a body that
        was parsed takes no memory.
        """
        return replace(self, content=b"", file_digest=self.digest)

    @property
    def media_type(self) -> str:
        """Return the media type in lower case without parameters, empty if none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


ResponseCheck = Callable[[Reply], None]  # It raises the error of a reply.


def merge_responses(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Add up responses: their ``count``, decoded ``bytes`` and ``milliseconds``; the ``slowest`` is
    the larger one.

    >>> merge_responses({}, {"count": 1, "bytes": 9, "milliseconds": 30, "slowest": 30})["slowest"]
    30
    """
    sums = {
        name: one.get(name, 0) + other.get(name, 0) for name in ("count", "bytes", "milliseconds")
    }
    return {**sums, "slowest": max(one.get("slowest", 0), other.get("slowest", 0))}


def is_redirect(reply: Reply) -> bool:
    return reply.status in _REDIRECT_STATUSES and "location" in reply.headers
