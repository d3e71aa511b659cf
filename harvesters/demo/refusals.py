"""Refusals: what a registry, or what stands before it, answers in the place of data; and its robots.txt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from harvesters.demo.fate import Fault

Refusal = tuple[int, Mapping[str, str], str, bytes]  # status, headers, media type, body

_WALL = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue"
    b'</noscript><script>window._cf_chl_opt={};</script><script src="/cdn-cgi/challenge-platform/h/g/orchestrate"></script></body></html>\n'
)
_ROBOTS = "User-agent: *\nDisallow: /control\n"
_INWARD = "http://10.0.0.1/latest/meta-data/"  # never reached: nothing listens there, and we must not ask


def refusal(fault: Fault, url: str, now: datetime) -> Refusal:
    """Give what is answered in place of data; *url* is what was asked, *now* the registry's time."""
    later = format_datetime(now + timedelta(seconds=2), usegmt=True)
    refusals: dict[Fault, Refusal] = {
        Fault.LIMITED: (429, {"Retry-After": "2"}, "text/plain", b"too many requests\n"),
        Fault.DATED: (503, {"Retry-After": later}, "text/plain", b"back soon\n"),
        Fault.DOWN: (503, {}, "text/plain", b"out of service\n"),
        Fault.DENIED: (403, {}, "application/json", b'{"error": "no key"}\n'),
        Fault.WALL: (403, {"cf-mitigated": "challenge", "Server": "cloudflare"}, "text/html; charset=UTF-8", _WALL),
        Fault.INWARD: (302, {"Location": _INWARD}, "text/plain", b""),
        Fault.ROUND: (302, {"Location": url}, "text/plain", b""),
    }
    return refusals[fault]


REFUSALS = (Fault.LIMITED, Fault.DATED, Fault.DOWN, Fault.DENIED, Fault.WALL, Fault.INWARD, Fault.ROUND)


def robots(faults: frozenset[Fault]) -> tuple[int, str]:
    """Give status and text of robots.txt."""
    if Fault.MUTE in faults:
        return 503, "out of service\n"
    lines = "Disallow: /\n" if Fault.FORBIDS in faults else ""
    lines += "Crawl-delay: 1.5\n" if Fault.CRAWL in faults else ""
    return 200, _ROBOTS + (f"\nUser-agent: Stocktake\n{lines}Disallow: /control\n" if lines else "")
