"""What can go wrong on the way out.

PublisherError
├── QueryError           the reader's query: SyntaxFault (line, column), FederationRefused, LoadRefused, NoFormat
├── LimitError           it asked too much: TimeLimit, MemoryLimit, RowLimit; its client did: Spent, Crowded
├── ReleaseError         a release cannot be cut, or asked: NoRelease, Withdrawn
├── ReportError          a report cannot be made
└── ShelfError           the shelf: NotReady, Busy (ScratchFull), Broken
"""

from __future__ import annotations


class PublisherError(Exception):
    """Something is wrong on the way out; *seconds* of evaluation were spent until then."""

    seconds = 0.0


class QueryError(PublisherError):
    """The query cannot be answered as it is; the one who asked can mend it."""


class SyntaxFault(QueryError):
    """The query breaks the grammar of SPARQL; *line* and *column* count from 1."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class FederationRefused(QueryError):
    """The query asks another endpoint (SERVICE); ask that endpoint yourself and join the answers."""


class LoadRefused(FederationRefused):
    """The update fetches data from another host (LOAD); fetch it yourself and put it into the update."""


class NoFormat(QueryError):
    """No format of the answer's kind is among those that were asked for."""


class LimitError(PublisherError):
    """The query asked more than the endpoint gives."""


class TimeLimit(LimitError):
    """The query was stopped at its time limit; narrow it, put it as an export, or take a dump."""


class MemoryLimit(LimitError):
    """The query was stopped at its memory limit; narrow it, put it as an export, or take a dump."""


class RowLimit(LimitError):
    """The answer has more rows than the endpoint gives; add LIMIT, put it as an export, or take a dump."""


class Spent(LimitError):
    """The client has spent its seconds of evaluation; *wait* is in how many seconds it may ask again."""

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class Crowded(LimitError):
    """The client has too many questions in the line; ask fewer at once."""


class ReportError(PublisherError):
    """A report cannot be made: the message tells why and what to do."""


class ReleaseError(PublisherError):
    """A release cannot be cut: the message tells why and what to do."""


class NoRelease(ReleaseError):
    """There is no release of this number."""


class Withdrawn(ReleaseError):
    """The release's files are no longer kept; its numbers are."""


class ShelfError(PublisherError):
    """The shelf cannot answer now."""


class NotReady(ShelfError):
    """No generation is up yet; try again in a moment."""


class Busy(ShelfError):
    """All readers are at work and the line is too long; try again in a moment."""


class ScratchFull(Busy):
    """There are as many scratch stores as there may be; delete one."""


class Broken(ShelfError):
    """A reader or the follower stopped for no known reason; its log tells why."""
