"""Parse robots.txt and check URLs against it.

Source: https://www.rfc-editor.org/rfc/rfc9309
"""

from __future__ import annotations

from dataclasses import dataclass

from protego import Protego

USER_AGENT_TOKEN = "Stocktake"  # our product token, which publishers write behind User-agent
# seconds of crawl-delay that are kept: at more, a registry of a hundred pages would take hours
MAX_CRAWL_DELAY = 60.0
_SIZE = 512 * 1024  # bytes that are read: the least that RFC 9309 asks for (500 KiB), and a bound


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
        indexes = [
            index for index, line in enumerate(self.lines) if line.strip().lower().startswith("di")
        ]
        # the address is allowed if the Disallow lines before this number are blank
        low, high = 0, len(indexes)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (low, middle)
                if self._without(indexes[:middle]).can_fetch(address, USER_AGENT_TOKEN)
                else (middle, high)
            )
        index = indexes[high - 1]
        return index + 1, self.lines[index].strip()[:200]

    def _without(self, indexes: list[int]) -> Protego:
        blank = set(indexes)
        return Protego.parse(
            "\n".join(
                "Disallow:" if index in blank else line for index, line in enumerate(self.lines)
            )
        )


def parse_robots(url: str, content: bytes) -> Robots:
    """Parse a robots.txt; unknown lines are ignored, as the specification says."""
    text = content[:_SIZE].decode("utf-8-sig", "replace")
    rules = Protego.parse(text)
    rate = rules.request_rate(USER_AGENT_TOKEN)
    paced = rate.seconds / rate.requests if rate and rate.requests else 0.0
    return Robots(
        url,
        tuple(text.splitlines()),
        rules,
        max(rules.crawl_delay(USER_AGENT_TOKEN) or 0.0, paced, 0.0),
    )


def allow_all(url: str) -> Robots:
    """Return the rules of a host without a robots.txt."""
    return parse_robots(url, b"")
