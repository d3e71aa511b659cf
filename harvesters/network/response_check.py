"""Verdicts: what a reply's status and marks mean for a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from harvesters.errors import (
    BotProtectionError,
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
from harvesters.network.html_detection import describe_page, is_html
from harvesters.network.retry import retry_after

_DOWN = {500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530}  # from 520 on: Cloudflare, which does not reach the registry
_KINDS = {"json": "JSON", "xml": "XML", "csv": "a table"}  # what is asked for, by a part of its media type


class Response(Protocol):
    """What is judged; harvesters.network.fetch's Reply is one."""

    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def content(self) -> bytes: ...  # noqa: D102


def check_response(reply: Response, accept: str, agent: str) -> None:
    """Let 200 and 304 pass; raises what anything else means, a bot wall before all, and a web page where *accept* asks for data."""
    if reply.status == 304:
        return
    if found := bot_protection.detect(reply.status, reply.headers, reply.content):
        cure = bot_protection.unblock_instructions(found, reply.url, agent)
        raise BotProtectionError(
            f"{reply.url}: answered {reply.status} by a bot wall ({found.name}), so the registry was not reached; {cure}"
        )
    if reply.status != 200:
        raise _refusal(reply)
    if accept != "*/*" and "html" not in accept and is_html(reply.content):
        wanted = next((name for part, name in _KINDS.items() if part in accept), "data")
        raise WebPageError(f"{reply.url}: answered with {describe_page(reply.content)} where {wanted} was expected; open it in a browser")


def _refusal(reply: Response) -> Exception:
    text = f"{reply.url}: answered {reply.status}"
    if reply.status == 429 or reply.status in _DOWN:
        return _busy(reply, text)
    if reply.status in {401, 403}:
        return ForbiddenError(f"{text}; correct the source's url, or ask the registry to let us in")
    if reply.status in {404, 410}:
        return NotFoundError(f"{text}; correct the source's url, or ask the registry where it is now")
    return UnexpectedStatusError(text)


def _busy(reply: Response, text: str) -> RetryLaterError:
    after = retry_after(reply.headers.get("retry-after"), reply.headers.get("date"), datetime.now(UTC))
    text += f" and asks us to come again in {after:.0f} seconds" if after else ""
    return LimitedError(text, after) if reply.status == 429 else UnavailableError(text, after)


def check_robots_response(reply: Response) -> None:
    """Let a robots.txt pass, and 4xx for none; raises where the host cannot tell, when nothing of it may be asked.

    Source: https://www.rfc-editor.org/rfc/rfc9309#section-2.3.1
    """
    if reply.status == 429 or reply.status in _DOWN:
        raise _busy(reply, f"{reply.url}: answered {reply.status}")
    if reply.status >= 500:
        raise UnexpectedStatusError(f"{reply.url}: answered {reply.status}")


def robots_unavailable_error(url: str, why: str) -> RobotsError:
    """Write that a host's rules cannot be had, and what then holds."""
    return RobotsError(f"{url}: {why}; while a host cannot tell its rules, nothing of it may be asked (RFC 9309); try again later")
