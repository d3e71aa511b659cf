"""Raise the exception that a response's status and content mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from harvesters.errors import (
    BotProtectionError,
    FetchError,
    ForbiddenError,
    LimitedError,
    NotFoundError,
    RetryLaterError,
    RobotsError,
    UnavailableError,
    UnexpectedStatusError,
    WebPageError,
)
from harvesters.network import bot_protection
from harvesters.network.html_detection import is_html, web_page_reason
from harvesters.network.retry import retry_after
from harvesters.reasons import Reason, Value

# from 520 on: Cloudflare, which does not reach the registry
_UNAVAILABLE_STATUSES = {
    500,
    502,
    503,
    504,
    520,
    521,
    522,
    523,
    524,
    525,
    526,
    527,
    530,
}
# a message in the JSON of an error, which is searched and not parsed: it is a stranger's
_MESSAGE = re.compile(
    r'"(?:message|detail|details|error|error_description|title|reason)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
_QUOTED_BYTES, _QUOTED = 4096, 200  # bytes of a body that are searched, characters that are quoted
# what is asked for, by a part of its media type
_KINDS = {"json": "JSON", "xml": "XML", "csv": "a table"}


class Response(Protocol):
    """The response to check; harvesters.network.reply's Reply is one."""

    @property
    def url(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def content(self) -> bytes: ...


def check_response(reply: Response, accept: str, agent: str) -> None:
    """Accept 200 and 304; raise for anything else, for bot protection, and for a web page if
    *accept* asks for data.
    """
    if reply.status == 304:
        return
    if vendor := bot_protection.detect(reply.status, reply.headers, reply.content):
        remedy = bot_protection.unblock_instructions(vendor, reply.url, agent)
        values: dict[str, Value] = {
            "url": reply.url,
            "status": str(reply.status),
            "vendor": vendor.name,
            "remedy": remedy,
        }
        raise BotProtectionError(
            Reason(
                "%(url)s: answered %(status)s by bot protection (%(vendor)s), so the registry was "
                "not reached; %(remedy)s",
                **values,
            )
        )
    if reply.status != 200:
        raise _status_error(reply)
    if accept != "*/*" and "html" not in accept and is_html(reply.content):
        expected = next((name for part, name in _KINDS.items() if part in accept), "data")
        raise WebPageError(web_page_reason(reply.url, reply.content, expected))


def _status_error(reply: Response) -> Exception:
    if reply.status == 429 or reply.status in _UNAVAILABLE_STATUSES:
        return _retry_later_error(reply)
    if reply.status in {401, 403}:
        return ForbiddenError(
            Reason(
                "%(url)s: answered %(status)s; correct the source's url, or ask the registry to let "
                "us in",
                **_status_reason(reply).values,
            )
        )
    if reply.status in {404, 410}:
        return NotFoundError(
            Reason(
                "%(url)s: answered %(status)s; correct the source's url, or ask the registry where "
                "it is now",
                **_status_reason(reply).values,
            )
        )
    return UnexpectedStatusError(_status_reason(reply))


def _status_reason(reply: Response) -> Reason:
    text = server_text(reply.content)
    status = f'{reply.status} ("{text}")' if text else str(reply.status)
    return Reason("%(url)s: answered %(status)s", url=reply.url, status=status)


def server_text(content: bytes) -> str:
    """Return what the body of an error says: the message in its JSON, or else its text, shortened;
    "" for a web page.

    >>> server_text(b'{"status": 400, "error": {"message": "from + size is over 10000"}}')
    'from + size is over 10000'
    """
    if is_html(content):
        return ""
    text = content[:_QUOTED_BYTES].decode("utf-8", "replace")
    message = _MESSAGE.search(text)
    words = " ".join((message[1] if message else text).split())
    return "".join(filter(str.isprintable, words))[:_QUOTED]


def _retry_later_error(reply: Response) -> RetryLaterError:
    after = retry_after(
        reply.headers.get("retry-after"), reply.headers.get("date"), datetime.now(UTC)
    )
    reason = _status_reason(reply)
    if after:
        reason = Reason(
            "%(url)s: answered %(status)s and asks to retry in %(seconds)s seconds",
            **reason.values,
            seconds=round(after),
        )
    return LimitedError(reason, after) if reply.status == 429 else UnavailableError(reason, after)


def check_robots_response(reply: Response) -> None:
    """Accept a robots.txt, and 4xx as its absence; raises for 429 and 5xx, when no requests are
    allowed.


    Source: https://www.rfc-editor.org/rfc/rfc9309#section-2.3.1
    """
    if reply.status == 429 or reply.status in _UNAVAILABLE_STATUSES:
        raise _retry_later_error(reply)
    if reply.status >= 500:
        raise UnexpectedStatusError(_status_reason(reply))


def robots_unavailable_error(error: FetchError) -> RobotsError:
    """Return the exception for a host whose robots.txt cannot be fetched because of *error*."""
    return RobotsError(
        Reason(
            "%(error)s; without a readable robots.txt no requests are allowed (RFC 9309); try "
            "again later",
            error=error.reason,
        )
    )
