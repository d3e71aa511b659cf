"""Replay a run's responses from the archive as if its registry answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from harvesters.archive import RETRIED_STATUSES, ArchivedResponse, by_request, list_responses
from harvesters.errors import ArchiveError, RefusedError
from harvesters.reasons import Reason
from journal.store import Store


@dataclass(slots=True)
class Replay:
    """The responses of the archive *name* below *folder*, for ``Fetch``: those of each request in
    order.

    If *is_complete*, the run had no network failures, and a request without a response raises
    ArchiveError. Otherwise such a request counts as one that was not answered.
    """

    folder: Path
    name: str
    store: Store | None = None
    is_complete: bool = True
    _responses: dict[tuple[str, str], deque[ArchivedResponse]] = field(init=False)

    def __post_init__(self) -> None:
        """Load the list of responses; raises ArchiveError if the file is missing."""
        self._responses = by_request(list_responses(self.folder, self.name, self.store))

    def find(self, url: str, request: str) -> ArchivedResponse:
        """Return the next response to a request; one after which it was retried is skipped, and the
        last one is repeated.
        """
        # Archives of older versions have no digests of requests.
        responses = self._responses.get((url, request)) or self._responses.get((url, ""))
        if not responses and not self.is_complete:
            raise RefusedError(
                Reason(
                    "%(url)s: did not answer when the archive %(archive)s was written",
                    url=url,
                    archive=self.name,
                )
            )
        if not responses:
            raise ArchiveError(
                Reason(
                    "%(url)s is not in the archive %(archive)s; the source or a protocol may have "
                    "changed; `stocktake harvest --full` requests it again",
                    url=url,
                    archive=self.name,
                )
            )
        while len(responses) > 1 and responses[0].status in RETRIED_STATUSES:
            responses.popleft()
        return responses.popleft() if len(responses) > 1 else responses[0]
