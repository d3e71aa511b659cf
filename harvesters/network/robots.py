"""Robots: what a host's robots.txt lets us do.

Source: https://www.rfc-editor.org/rfc/rfc9309
"""

from __future__ import annotations

from dataclasses import dataclass

from protego import Protego

USER_AGENT_TOKEN = "Stocktake"  # our product token, which publishers write behind User-agent
MAX_CRAWL_DELAY = 60.0  # seconds of crawl-delay that are kept: at more, a registry of a hundred pages would take hours
_SIZE = 512 * 1024  # bytes that are read: the least that RFC 9309 asks for (500 KiB), and a bound


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one host; *url* is where they came from, *lines* as they stand there.

    *delay* is the seconds between two requests that the host asks for, zero where it does not.
    """

    url: str
    lines: tuple[str, ...]
    rules: Protego
    delay: float = 0.0

    def forbids(self, address: str) -> str | None:
        """Give the line that forbids *address*, with its number; None where none does."""
        if self.rules.can_fetch(address, USER_AGENT_TOKEN):
            return None
        places = [place for place, line in enumerate(self.lines) if line.strip().lower().startswith("di")]
        low, high = 0, len(places)  # the first so many Disallow lines must be blank for the address to be allowed
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._without(places[:middle]).can_fetch(address, USER_AGENT_TOKEN) else (middle, high)
        place = places[high - 1]
        return f'line {place + 1}, "{self.lines[place].strip()[:200]}"'

    def _without(self, places: list[int]) -> Protego:
        blank = set(places)
        return Protego.parse("\n".join("Disallow:" if place in blank else line for place, line in enumerate(self.lines)))


def parse_robots(url: str, content: bytes) -> Robots:
    """Read a robots.txt; lines that are none of its own are passed over, as the specification says."""
    text = content[:_SIZE].decode("utf-8-sig", "replace")
    rules = Protego.parse(text)
    rate = rules.request_rate(USER_AGENT_TOKEN)
    paced = rate.seconds / rate.requests if rate and rate.requests else 0.0
    return Robots(url, tuple(text.splitlines()), rules, max(rules.crawl_delay(USER_AGENT_TOKEN) or 0.0, paced, 0.0))


def allow_all(url: str) -> Robots:
    """Give the rules of a host that has none."""
    return parse_robots(url, b"")
