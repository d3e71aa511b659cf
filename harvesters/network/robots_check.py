"""Check addresses against the robots.txt of their hosts. Each robots.txt is requested once.

Source: https://www.rfc-editor.org/rfc/rfc9309
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import structlog

from harvesters.errors import (
    RetryLaterError,
    RobotsError,
    TooManyRedirectsError,
    UnexpectedStatusError,
)
from harvesters.network import robots
from harvesters.network.reply import Reply
from harvesters.network.response_check import robots_unavailable_error
from harvesters.network.robots import USER_AGENT_TOKEN, Robots
from harvesters.reasons import Reason, Value

log = structlog.get_logger()


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
        rules = self._host_rules(str(url.copy_with(path="/robots.txt", query=None, fragment=None)))
        if not self.override and (line := rules.forbids(str(url))):
            values: dict[str, Value] = {
                "url": str(url),
                "robots": rules.url,
                "number": line[0],
                "line": line[1],
                "token": USER_AGENT_TOKEN,
                "path": url.path,
            }
            raise RobotsError(
                Reason(
                    '%(url)s: %(robots)s forbids it in line %(number)s, "%(line)s"; ask its publisher '
                    'for "User-agent: %(token)s" and "Allow: %(path)s" there, or for a grant',
                    **values,
                )
            )
        return min(rules.delay, robots.MAX_CRAWL_DELAY)

    def _host_rules(self, address: str) -> Robots:
        if address not in self._rules:
            self._rules[address] = rules = self._request_rules(address)
            if rules.delay > robots.MAX_CRAWL_DELAY:
                fields = {
                    "requested": rules.delay,
                    "applied": robots.MAX_CRAWL_DELAY,
                    "action": "agree on a pause with its publisher",
                }
                log.warning("crawl-delay reduced to the maximum", robots=address, **fields)
        return self._rules[address]

    def _request_rules(self, address: str) -> Robots:
        """Request a robots.txt: 4xx or too many redirects mean that there is none, 5xx that nothing
        is allowed at present.
        """
        try:
            reply = self.request(address)
        except TooManyRedirectsError:
            return robots.allow_all(address)
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise robots_unavailable_error(error) from error
        if reply.status == 200:
            return robots.parse_robots(address, reply.content)
        return robots.allow_all(address)
