"""Parse robots.txt and check addresses against it. Each host's is requested once.

Source: https://www.rfc-editor.org/rfc/rfc9309
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import structlog
from protego import Protego

from harvesters.errors import (
    RetryLaterError,
    RobotsError,
    TooManyRedirectsError,
    UnexpectedStatusError,
)
from harvesters.network.reply import Reply
from harvesters.network.settings import USER_AGENT_TOKEN

# Seconds of crawl-delay that are kept: at more, a registry of a hundred pages would take hours.
MAX_CRAWL_DELAY = 60.0
_SIZE = 512 * 1024  # Bytes that are read: RFC 9309 asks for at least 500 KiB.

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one host; *url* is the address of its robots.txt, *lines* its text.

    *delay* is the requested number of seconds between two requests, zero if none is requested.
    """

    url: str
    lines: tuple[str, ...]
    rules: Protego
    delay: float = 0.0

    def forbids(self, address: str) -> tuple[int, str] | None:
        """Return the number of the line that forbids *address*, from 1, and its text; None if it is
        allowed.
        """
        if self.rules.can_fetch(address, USER_AGENT_TOKEN):
            return None
        numbers = [n for n, line in enumerate(self.lines) if line.strip().lower().startswith("di")]

        def is_allowed(count: int) -> bool:
            """Return whether *address* is allowed without the first lines that forbid something."""
            blank = {*numbers[:count]}
            lines = ("Disallow:" if n in blank else line for n, line in enumerate(self.lines))
            return Protego.parse("\n".join(lines)).can_fetch(address, USER_AGENT_TOKEN)

        count = bisect_left(range(len(numbers)), True, lo=1, key=is_allowed)
        number = numbers[count - 1]
        return number + 1, self.lines[number].strip()[:200]


def parse_robots(url: str, content: bytes) -> Robots:
    """Parse a robots.txt; unknown lines are ignored, as the specification says. An empty one allows
    all.
    """
    text = content[:_SIZE].decode("utf-8-sig", "replace")
    rules = Protego.parse(text)
    rate = rules.request_rate(USER_AGENT_TOKEN)
    paced = rate.seconds / rate.requests if rate and rate.requests else 0.0
    delay = max(rules.crawl_delay(USER_AGENT_TOKEN) or 0.0, paced, 0.0)
    return Robots(url, tuple(text.splitlines()), rules, delay)


@dataclass(slots=True)
class RobotsCheck:
    """The rules of the hosts that were asked; *request* requests a robots.txt and follows
    redirects.

    An *override* (who permitted access, in writing) sets Disallow aside, not the crawl-delay.
    """

    request: Callable[[str], Reply]
    override: str = ""
    _rules: dict[str, Robots] = field(default_factory=dict)

    def crawl_delay(self, url: httpx.URL) -> float:
        """Return the seconds between two requests that the host of *url* asks for, at most
        ``MAX_CRAWL_DELAY``.

        Raises RobotsError if its robots.txt forbids *url*, or if its server fails.
        """
        address = str(url.copy_with(path="/robots.txt", query=None, fragment=None))
        if address not in self._rules:
            self._rules[address] = self._request_rules(address)
        rules = self._rules[address]
        if not self.override and (line := rules.forbids(str(url))):
            raise RobotsError(
                '%(url)s: %(robots)s forbids it in line %(number)s, "%(line)s"; ask its publisher '
                'for "User-agent: %(token)s" and "Allow: %(path)s" there, or for a grant',
                url=str(url),
                robots=rules.url,
                number=line[0],
                line=line[1],
                token=USER_AGENT_TOKEN,
                path=url.path,
            )
        return min(rules.delay, MAX_CRAWL_DELAY)

    def _request_rules(self, address: str) -> Robots:
        """Request a robots.txt: 4xx or too many redirects mean that there is none, 5xx that nothing
        is allowed at present.
        """
        try:
            reply = self.request(address)
        except TooManyRedirectsError:
            return parse_robots(address, b"")
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise RobotsError(
                "%(error)s; without a readable robots.txt no requests are allowed (RFC 9309); try "
                "again later",
                error=error.reason,
            ) from error
        rules = parse_robots(address, reply.content if reply.status == 200 else b"")
        if rules.delay > MAX_CRAWL_DELAY:
            log.warning(
                "crawl-delay reduced to the maximum",
                robots=address,
                requested=rules.delay,
                applied=MAX_CRAWL_DELAY,
                action="agree on a pause with its publisher",
            )
        return rules
