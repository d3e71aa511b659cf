"""Negotiation: which of our formats the reader wants most.

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
    """Tell how much *accept* wants *media*: the q-value of the most precise range that fits, 0 where none does.

    A range with a parameter that *media* has not counts where no other range fits: few readers mean it as strictly as they write it.

    >>> quality("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), quality("text/*;q=0.3", "image/png")
    (0.7, 0.0)
    >>> quality(None, "text/html"), quality("text/html;level=1, text/html;q=0.4", "text/html"), quality("text/html;level=1", "text/html")
    (1.0, 0.4, 1.0)
    """
    stated = parse_accept(accept) if accept and accept.strip() else _ANYTHING
    name, _, rest = media.partition(";")
    kind, _, subtype = name.strip().lower().partition("/")
    has = frozenset(parse_parameters(f";{rest}").items())
    fitting = [it for it in stated if it.fits(kind, subtype, has)]
    fitting = fitting or [it for it in stated if it.fits(kind, subtype, it.parameters)]
    return max(fitting, key=lambda it: (it.precision, it.quality)).quality if fitting else 0.0


def best_match(accept: str | None, rows: Iterable[FormatT]) -> FormatT | None:
    """Choose the row that *accept* wants most, the earlier where it wants two as much; None where it wants none.

    An alias counts a little less than the proper media type, so that ``application/json`` finds SPARQL's JSON.
    """
    ranked = [(_score(accept, row), row) for row in rows]
    top = max((score for score, _ in ranked), default=0.0)
    return next((row for score, row in ranked if score == top), None) if top > 0 else None


def _score(accept: str | None, row: Format) -> float:
    return max(quality(accept, name) - 0.0001 * (place > 0) for place, name in enumerate(media_types(row)))


def wants_html(accept: str | None, rows: Iterable[Format]) -> bool:
    """Tell whether the reader wants a page more than any of *rows*; in doubt (``*/*``) data is given, in a browser the page."""
    page = max(quality(accept, name) for name in media_types(HTML))
    data = max((_score(accept, row) for row in rows), default=0.0)
    return page > data or (page == data and page > 0 and accept is not None and "text/html" in accept.lower())


def choose_format(accept: str | None, rows: Iterable[Format]) -> Format | None:
    """Choose among *rows* and a page, which is given where it is named and wanted as much as any data; None where nothing fits."""
    data = list(rows)
    if wants_html(accept, data):
        return HTML
    return best_match(accept, data) or (HTML if quality(accept, "text/html") else None)
