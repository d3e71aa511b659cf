"""Define the errors of submissions, each with its HTTP status (RFC 9110).

AdminError              reported to the client as a problem (RFC 9457), or on a page
├── Closed              503: the source `submissions` is missing or disabled
├── LinkInvalid         410: a link that has expired, was used, or does not exist
├── VersionRequired     428: a change does not say which version it changes (RFC 6585)
├── VersionConflict     412: somebody else changed the submission meanwhile
├── NotAllowed          409: the state of a submission does not permit this
├── TooLarge            413: a table with too many rows
└── UnsupportedMedia    415: a media type that is not read
"""

from __future__ import annotations

from http import HTTPStatus

from harvesters.admin.errors import AdminError


class Closed(AdminError):
    """Nothing can be submitted here."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class LinkInvalid(AdminError):
    """A link that has expired, was used, or does not exist."""

    status = HTTPStatus.GONE


class VersionRequired(AdminError):
    """A change does not say which version it changes."""

    status = HTTPStatus.PRECONDITION_REQUIRED


class VersionConflict(AdminError):
    """Somebody else changed the submission meanwhile."""

    status = HTTPStatus.PRECONDITION_FAILED


class NotAllowed(AdminError):
    """The state of a submission does not permit this."""

    status = HTTPStatus.CONFLICT


class TooLarge(AdminError):
    """A table with too many rows."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(AdminError):
    """A media type that is not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
