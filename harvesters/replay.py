"""Replay: a run's replies, given again from the archive as if its registry answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from harvesters.archive import ArchivedResponse, list_responses, open_body
from harvesters.errors import ArchiveError, RefusedError
from harvesters.page_model import SourcePosition
from journal.store import Store

_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers after which the same was asked again


@dataclass(slots=True)
class Replay(httpx.BaseTransport):
    """Answer from the archive of one run, *name*, below *folder*, each address with what it answered then, in turn.

    It is the keeper of what it gives too, so that each reply lies where it has lain. *whole* tells that the run met no trouble with its
    network: then an address that is not there raises ArchiveError, else it is one that did not answer then.
    """

    folder: Path
    name: str
    store: Store | None = None
    whole: bool = True
    _kept: dict[str, deque[ArchivedResponse]] = field(default_factory=dict)
    _last: SourcePosition | None = None

    def __post_init__(self) -> None:
        """Look up what there is; raises ArchiveError where there is no such file."""
        for it in list_responses(self.folder, self.name, self.store):
            self._kept.setdefault(it.url, deque()).append(it)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Give the next reply that came from the request's address."""
        its = self._kept.get(str(request.url))
        if not its:
            if not self.whole:
                raise RefusedError(f"{request.url}: it did not answer when the archive {self.name} was kept")
            cure = "`stocktake harvest --full` asks the registry itself"
            raise ArchiveError(f"{request.url} is not in the archive {self.name}, as when the source or a protocol has changed; {cure}")
        it = _next(its)
        self._last = it.position
        return httpx.Response(it.status, headers=list(it.headers), stream=_Body(self.folder, it.position))

    def write_response(self, url: str, status: int, headers: list[tuple[str, str]], content: bytes) -> SourcePosition:
        """Tell where the reply lies that was given last."""
        assert self._last is not None
        return self._last

    def write_file(self, url: str, status: int, headers: list[tuple[str, str]], path: Path) -> SourcePosition:
        """Tell where the reply lies that was given last."""
        assert self._last is not None
        return self._last


def _next(its: deque[ArchivedResponse]) -> ArchivedResponse:
    """Give the next reply; one after which the same was asked again is passed over, and the last one stays."""
    while len(its) > 1 and its[0].status in _PASSING:
        its.popleft()
    return its.popleft() if len(its) > 1 else its[0]


class _Body(httpx.SyncByteStream):
    """A reply's body, piece by piece from the archive."""

    def __init__(self, folder: Path, at: SourcePosition) -> None:
        self._folder, self._at = folder, at

    def __iter__(self) -> Iterator[bytes]:
        with open_body(self._folder, self._at) as body:
            while piece := body.read(1 << 16):
                yield piece
