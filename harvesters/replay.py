"""Replay a run's responses from the archive as if its registry answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from harvesters.archive import ArchivedResponse, list_responses, open_body
from harvesters.errors import ArchiveError, RefusedError
from harvesters.reasons import Reason
from harvesters.stored_response import SourcePosition
from journal.store import Store

# statuses after which the request was retried
_RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}


@dataclass(slots=True)
class Replay(httpx.BaseTransport):
    """Answer requests from the archive *name* below *folder*: each URL with its archived responses,
    in order.

    It also acts as the archive of what it returns, so that each response keeps its position.
    *is_complete* means that the run had no network failures: then a URL without a response raises
    ArchiveError, else it counts as one that did not answer.
    """

    folder: Path
    name: str
    store: Store | None = None
    is_complete: bool = True
    _responses: dict[str, deque[ArchivedResponse]] = field(default_factory=dict)
    _last: SourcePosition | None = None

    def __post_init__(self) -> None:
        """Load the list of responses; raises ArchiveError if the file is missing."""
        for response in list_responses(self.folder, self.name, self.store):
            self._responses.setdefault(response.url, deque()).append(response)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the next response of the request's URL."""
        responses = self._responses.get(str(request.url))
        if not responses:
            if not self.is_complete:
                raise RefusedError(
                    Reason(
                        "%(url)s: did not answer when the archive %(archive)s was written",
                        url=str(request.url),
                        archive=self.name,
                    )
                )
            raise ArchiveError(
                Reason(
                    "%(url)s is not in the archive %(archive)s, as when the source or a protocol has "
                    "changed; `stocktake harvest --full` asks the registry itself",
                    url=str(request.url),
                    archive=self.name,
                )
            )
        response = _next(responses)
        self._last = response.position
        return httpx.Response(
            response.status,
            headers=list(response.headers),
            stream=_Body(self.folder, response.position),
        )

    def write_response(
        self, url: str, status: int, headers: list[tuple[str, str]], content: bytes
    ) -> SourcePosition:
        """Return the position of the last response."""
        assert self._last is not None
        return self._last

    def write_file(
        self, url: str, status: int, headers: list[tuple[str, str]], path: Path
    ) -> SourcePosition:
        """Return the position of the last response."""
        assert self._last is not None
        return self._last


def _next(responses: deque[ArchivedResponse]) -> ArchivedResponse:
    """Return the next response; one after which the request was retried is skipped, and the last
    one is repeated.
    """
    while len(responses) > 1 and responses[0].status in _RETRIED_STATUSES:
        responses.popleft()
    return responses.popleft() if len(responses) > 1 else responses[0]


class _Body(httpx.SyncByteStream):
    """A response's body, read from the archive in chunks."""

    def __init__(self, folder: Path, position: SourcePosition) -> None:
        self._folder, self._at = folder, position

    def __iter__(self) -> Iterator[bytes]:
        with open_body(self._folder, self._at) as body:
            while piece := body.read(1 << 16):
                yield piece
