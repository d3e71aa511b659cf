"""Parse the headers Accept and Accept-Encoding.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 5.6.6 (parameters), 12.4.2 (q-values), 12.5.1 and 12.5.3.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+.^_`|~\w-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PART = re.compile(rf"(?:{_QUOTED}|[^,\"])+")  # up to the next comma outside quotes
_RANGE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})\s*((?:;.*)?)\Z", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(rf";\s*({_TOKEN})\s*=\s*({_QUOTED}|{_TOKEN})", re.ASCII)
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_CODING = re.compile(r"\s*+(gzip|x-gzip|\*)\s*+(?:;\s*+q\s*+=\s*+([0-9.]++)\s*+)?\Z", re.IGNORECASE)
_IGNORED_PARAMETERS = {"charset"}  # every response is UTF-8


class MediaRange(NamedTuple):
    """A media range, such as ``text/*;q=0.3``; *parameters* exclude q."""

    kind: str
    subtype: str
    quality: float
    parameters: frozenset[tuple[str, str]]

    @property
    def precision(self) -> int:
        """Return how specific the range is. The most specific range that matches decides."""
        return (self.kind != "*") + (self.subtype != "*") + len(self.parameters)

    def includes(self, kind: str, subtype: str, parameters: frozenset[tuple[str, str]]) -> bool:
        """Return whether the range includes a media type."""
        return self.kind in ("*", kind) and self.subtype in ("*", subtype) and self.parameters <= parameters


@lru_cache(maxsize=512)
def parse_accept(accept: str) -> tuple[MediaRange, ...]:
    """Parse an Accept header. Invalid media ranges are skipped; an invalid q-value counts as 1.

    >>> [(item.subtype, item.quality) for item in parse_accept('text/html, text/*;q=0.3, nonsense, */*;q=2')]
    [('html', 1.0), ('*', 0.3), ('*', 1.0)]
    """
    return tuple(_parse_range(match) for part in _PART.findall(accept) if (match := _RANGE.match(part)))


def parse_parameters(text: str) -> dict[str, str]:
    """Parse the parameters of a media type: names in lower case, values without quotes."""
    return {name.lower(): re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value for name, value in _PARAMETER.findall(text)}


def _parse_range(match: re.Match[str]) -> MediaRange:
    params = parse_parameters(match[3])
    quality_text = params.pop("q", "1")
    narrowing = frozenset((name, value) for name, value in params.items() if name not in _IGNORED_PARAMETERS)
    return MediaRange(match[1].lower(), match[2].lower(), float(quality_text) if _QUALITY.match(quality_text) else 1.0, narrowing)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether the header Accept-Encoding allows gzip; None: it is absent.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0, *"), accepts_gzip("*"), accepts_gzip(None)
    (True, False, True, False)
    """
    codings = {match[1].lower(): _positive(match[2]) for part in (accept_encoding or "").split(",") if (match := _CODING.match(part))}
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", False)))


def _positive(quality_text: str | None) -> bool:
    return quality_text is None or quality_text.strip("0.") != ""
