"""Choose the format that a client prefers.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 12.4.2 and 12.5.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from publisher.formats import HTML, Format, media_types
from publisher.http.accept import MediaRange, parse_accept, parse_parameters

FormatT = TypeVar("FormatT", bound=Format)

_ANYTHING = (MediaRange("*", "*", 1.0, frozenset()),)


def quality(accept: str | None, media: str) -> float:
    """Return the q-value of *media* in *accept*: that of the most specific matching range, 0 if none matches.

    A range with a parameter that *media* lacks counts only if no other range matches: few clients mean it strictly.

    >>> quality("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), quality("text/*;q=0.3", "image/png")
    (0.7, 0.0)
    >>> quality(None, "text/html"), quality("text/html;level=1, text/html;q=0.4", "text/html"), quality("text/html;level=1", "text/html")
    (1.0, 0.4, 1.0)
    """
    ranges = parse_accept(accept) if accept and accept.strip() else _ANYTHING
    name, _, rest = media.partition(";")
    kind, _, subtype = name.strip().lower().partition("/")
    media_parameters = frozenset(parse_parameters(f";{rest}").items())
    matches = [media_range for media_range in ranges if media_range.includes(kind, subtype, media_parameters)]
    matches = matches or [media_range for media_range in ranges if media_range.includes(kind, subtype, media_range.parameters)]
    return max(matches, key=lambda media_range: (media_range.precision, media_range.quality)).quality if matches else 0.0


def best_match(accept: str | None, rows: Iterable[FormatT]) -> FormatT | None:
    """Return the format that *accept* prefers, the first of equals; None if it accepts none.

    An alias counts slightly less than the format's own media type, so that ``application/json`` selects SPARQL's JSON.
    """
    ranked = [(_score(accept, candidate), candidate) for candidate in rows]
    top = max((score for score, _ in ranked), default=0.0)
    return next((candidate for score, candidate in ranked if score == top), None) if top > 0 else None


def _score(accept: str | None, candidate: Format) -> float:
    return max(quality(accept, name) - 0.0001 * (position > 0) for position, name in enumerate(media_types(candidate)))


def wants_html(accept: str | None, rows: Iterable[Format]) -> bool:
    """Return whether the client prefers HTML to all of *formats*. ``*/*`` alone selects data."""
    page = max(quality(accept, name) for name in media_types(HTML))
    data = max((_score(accept, candidate) for candidate in rows), default=0.0)
    return page > data or (page == data and page > 0 and accept is not None and "text/html" in accept.lower())


def choose_format(accept: str | None, rows: Iterable[Format]) -> Format | None:
    """Return the preferred one of *formats* or HTML, which wins a tie if it is named; None if nothing matches."""
    data = list(rows)
    if wants_html(accept, data):
        return HTML
    return best_match(accept, data) or (HTML if quality(accept, "text/html") else None)
