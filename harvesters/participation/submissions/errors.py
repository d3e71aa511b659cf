"""Define the errors of submissions, each with its HTTP status (RFC 9110).

HTTPProblem              reported to the client as a problem (RFC 9457), or on a page
├── Closed              503: the source `submissions` is missing or disabled
├── LinkInvalid         410: a link that has expired, was used, or does not exist
├── VersionRequired     428: a change does not say which version it changes (RFC 6585)
├── VersionConflict     412: somebody else changed the submission meanwhile
├── NotAllowed          409: the state of a submission does not permit this
├── TooLarge            413: a table with too many rows
├── UnsupportedMedia    415: a media type that is not read
└── ProviderError       502: the provider that persons sign in with fails, or its answer is wrong
"""

from __future__ import annotations

from http import HTTPStatus

from harvesters.admin.errors import HTTPProblem


class Closed(HTTPProblem):
    """Nothing can be submitted here."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class LinkInvalid(HTTPProblem):
    """A link that has expired, was used, or does not exist."""

    status = HTTPStatus.GONE


class VersionRequired(HTTPProblem):
    """A change does not say which version it changes."""

    status = HTTPStatus.PRECONDITION_REQUIRED


class VersionConflict(HTTPProblem):
    """Somebody else changed the submission meanwhile."""

    status = HTTPStatus.PRECONDITION_FAILED


class NotAllowed(HTTPProblem):
    """The state of a submission does not permit this."""

    status = HTTPStatus.CONFLICT


class TooLarge(HTTPProblem):
    """A table with too many rows."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(HTTPProblem):
    """A media type that is not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ProviderError(HTTPProblem):
    """The provider that persons sign in with fails, or its answer is wrong."""

    status = HTTPStatus.BAD_GATEWAY
