"""Return error responses of registries and of proxies before them, and robots.txt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from demo.scenario import Fault

ErrorResponse = tuple[int, Mapping[str, str], str, bytes]  # status, headers, media type, body

_BOT_PROTECTION_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue"
    b'</noscript><script>window._cf_chl_opt={};</script><script src="/cdn-cgi/challenge-platform/h/g/orchestrate"></script></body></html>\n'
)
_ROBOTS = "User-agent: *\nDisallow: /control\n"
# never requested: clients must refuse private addresses
_PRIVATE_URL = "http://10.0.0.1/latest/meta-data/"


def error_response(fault: Fault, url: str, now: datetime) -> ErrorResponse:
    """Return the response for *fault*; *url* is the requested address, *now* the registry's time."""
    later = format_datetime(now + timedelta(seconds=2), usegmt=True)
    responses: dict[Fault, ErrorResponse] = {
        Fault.LIMITED: (429, {"Retry-After": "2"}, "text/plain", b"too many requests\n"),
        Fault.DATED: (503, {"Retry-After": later}, "text/plain", b"back soon\n"),
        Fault.DOWN: (503, {}, "text/plain", b"out of service\n"),
        Fault.DENIED: (403, {}, "application/json", b'{"error": "no key"}\n'),
        Fault.WALL: (
            403,
            {"cf-mitigated": "challenge", "Server": "cloudflare"},
            "text/html; charset=UTF-8",
            _BOT_PROTECTION_PAGE,
        ),
        Fault.INWARD: (302, {"Location": _PRIVATE_URL}, "text/plain", b""),
        Fault.ROUND: (302, {"Location": url}, "text/plain", b""),
    }
    return responses[fault]


ERROR_FAULTS = (
    Fault.LIMITED,
    Fault.DATED,
    Fault.DOWN,
    Fault.DENIED,
    Fault.WALL,
    Fault.INWARD,
    Fault.ROUND,
)


def robots(faults: frozenset[Fault]) -> tuple[int, str]:
    """Return status and text of robots.txt."""
    if Fault.MUTE in faults:
        return 503, "out of service\n"
    lines = "Disallow: /\n" if Fault.FORBIDS in faults else ""
    lines += "Crawl-delay: 1.5\n" if Fault.CRAWL in faults else ""
    return 200, _ROBOTS + (f"\nUser-agent: Stocktake\n{lines}Disallow: /control\n" if lines else "")
