"""Exceptions of the publisher.

PublisherError
├── QueryError     the query is wrong: QuerySyntaxError (line, column), NoFormat,
│                  FederationRefused
├── LimitError     a limit was reached: TimeLimit, MemoryLimit, RowLimit; by the client:
│                  QuotaExceeded, TooManyQueries
├── ReleaseError   a release cannot be made or read: ReleaseNotFound, DamagedRelease, Withdrawn
├── ReportError    a report cannot be made
└── StoreError     the store cannot answer: NotReady, StoreBusy, DamagedFiles, StoreFailure
"""

from __future__ import annotations

from http import HTTPStatus


class PublisherError(Exception):
    """Base of all errors here; *seconds* is how long the query was evaluated before the error, and
    *link* a Link header of its response.
    """

    seconds = 0.0

    def __init__(self, message: str = "", link: str = "") -> None:
        super().__init__(message)
        self.link = link


class QueryError(PublisherError):
    """The query cannot be answered as it is; its author can correct it."""


class QuerySyntaxError(QueryError):
    """The query does not follow the SPARQL grammar; *line* and *column* count from 1."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class FederationRefused(QueryError):
    """The query contains SERVICE; query that endpoint yourself and join the results."""


class NoFormat(QueryError):
    """None of the accepted formats fits the kind of result (table or graph)."""


class LimitError(PublisherError):
    """The query needs more than a limit of the endpoint allows."""


class TimeLimit(LimitError):
    """The query was stopped at its time limit; narrow it, run it as an export, or use a dump."""


class MemoryLimit(LimitError):
    """The query was stopped at its memory limit; narrow it, run it as an export, or use a dump."""


class RowLimit(LimitError):
    """The result has more rows than the limit; add LIMIT, run the query as an export, or use a
    dump.
    """


class QuotaExceeded(LimitError):
    """The client has used its quota; it may retry after *wait* seconds."""

    def __init__(self, message: str, wait: int, link: str = "") -> None:
        super().__init__(message, link)
        self.wait = wait


class TooManyQueries(LimitError):
    """The client has too many queries waiting; send fewer at once."""


class ReportError(PublisherError):
    """A report cannot be made; the message says why and what to do."""


class ReleaseError(PublisherError):
    """A release cannot be made or read; the message says why and what to do."""


class DamagedRelease(ReleaseError):
    """The manifest of a release cannot be read; a person has to restore it."""


class ReleaseNotFound(ReleaseError):
    """There is no release with this number."""


class Withdrawn(ReleaseError):
    """The files of the release were removed; its counts remain."""


class StoreError(PublisherError):
    """The store cannot answer now."""


class NotReady(StoreError):
    """Nothing is loaded yet; retry in a moment."""


class StoreBusy(StoreError):
    """All query workers are busy and the queue is full; retry in a moment."""


class DamagedFiles(StoreError):
    """Files of the store or its indexes are damaged; they are rebuilt from the journal. Retry in a
    minute.
    """


class StoreFailure(StoreError):
    """A query worker, the follower or the external store failed; the log has the cause."""


# The first matching row counts: subclasses before their base classes. The last column has the
# seconds after which a client may try again; a person has to restore the manifest of a release.
_STATUS: tuple[tuple[type[PublisherError], HTTPStatus, str, str], ...] = (
    (QuerySyntaxError, HTTPStatus.BAD_REQUEST, "Syntax error", ""),
    (FederationRefused, HTTPStatus.BAD_REQUEST, "SERVICE is not supported", ""),
    (NoFormat, HTTPStatus.NOT_ACCEPTABLE, "Format not available", ""),
    (QueryError, HTTPStatus.BAD_REQUEST, "The query failed", ""),
    (QuotaExceeded, HTTPStatus.TOO_MANY_REQUESTS, "Query quota reached", ""),
    (TooManyQueries, HTTPStatus.TOO_MANY_REQUESTS, "Too many queries at once", "2"),
    (TimeLimit, HTTPStatus.GATEWAY_TIMEOUT, "Time limit reached", ""),
    (LimitError, HTTPStatus.UNPROCESSABLE_ENTITY, "Query limit exceeded", ""),
    (ReleaseNotFound, HTTPStatus.NOT_FOUND, "Release not found", ""),
    (Withdrawn, HTTPStatus.GONE, "Release withdrawn", ""),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE, "Not ready yet", "2"),
    (StoreBusy, HTTPStatus.SERVICE_UNAVAILABLE, "Server busy", "2"),
    (DamagedFiles, HTTPStatus.SERVICE_UNAVAILABLE, "Damaged files are being rebuilt", "60"),
    (DamagedRelease, HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable", "600"),
    (PublisherError, HTTPStatus.INTERNAL_SERVER_ERROR, "The database is unavailable", ""),
)


COST = "Stocktake-Cost"  # seconds of evaluation
EXPORTS = '</exports>; rel="related"; title="run the query as an export"'


def describe_error(error: PublisherError) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Return status, title and headers of the problem details for *error*."""
    status, title, retry = next(
        (status, title, retry) for kind, status, title, retry in _STATUS if isinstance(error, kind)
    )
    retry = str(error.wait) if isinstance(error, QuotaExceeded) else retry
    is_export = isinstance(error, LimitError) and status is not HTTPStatus.TOO_MANY_REQUESTS
    link = EXPORTS if is_export else error.link
    headers = {COST: f"{error.seconds:.3f}", "Link": link, "Retry-After": retry}
    return status, title, {name: text for name, text in headers.items() if text}
