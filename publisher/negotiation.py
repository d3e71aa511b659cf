"""Negotiation: which of our formats the reader wants most.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 12.4.2 and 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from publisher.formats import Format, names

Row = TypeVar("Row", bound=Format)

_RANGE = re.compile(r"\s*([!#$%&'*+.^_`|~\w-]+)/([!#$%&'*+.^_`|~\w-]+)\s*((?:;[^,]*)?)\Z")
_QUALITY = re.compile(r";\s*[qQ]\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|\Z)")


class _Wish(NamedTuple):
    kind: str
    subtype: str
    quality: float

    @property
    def precision(self) -> int:
        return (self.kind != "*") + (self.subtype != "*")


def _wishes(accept: str) -> list[_Wish]:
    found = []
    for part in accept.split(","):
        if match := _RANGE.match(part):
            quality = _QUALITY.search(match[3])
            found.append(_Wish(match[1].lower(), match[2].lower(), min(1.0, float(quality[1])) if quality else 1.0))
    return found


def quality(accept: str | None, media: str) -> float:
    """Tell how much *accept* wants *media*: the q-value of the most precise range that fits, 0 where none does.

    >>> quality("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), quality("text/*;q=0.3", "image/png")
    (0.7, 0.0)
    >>> quality(None, "text/html")
    1.0
    """
    wishes = _wishes(accept) if accept and accept.strip() else [_Wish("*", "*", 1.0)]
    kind, _, subtype = media.lower().partition("/")
    fitting = [wish for wish in wishes if wish.kind in ("*", kind) and wish.subtype in ("*", subtype)]
    return max(fitting, key=lambda wish: (wish.precision, wish.quality)).quality if fitting else 0.0


def best(accept: str | None, rows: Iterable[Row]) -> Row | None:
    """Choose the row that *accept* wants most, the earlier where it wants two as much; None where it wants none.

    An alias counts a little less than the proper media type, so that ``application/json`` finds SPARQL's JSON.
    """
    ranked = [(max(quality(accept, name) - 0.0001 * (place > 0) for place, name in enumerate(names(row))), row) for row in rows]
    top = max((score for score, _ in ranked), default=0.0)
    return next((row for score, row in ranked if score == top), None) if top > 0 else None


def wants_html(accept: str | None, rows: Iterable[Format]) -> bool:
    """Tell whether the reader wants a page more than any of *rows*; in doubt (``*/*``) data is given, in a browser the page."""
    page = max(quality(accept, "text/html"), quality(accept, "application/xhtml+xml"))
    data = max((quality(accept, name) for row in rows for name in names(row)[:1]), default=0.0)
    return page > data or (page == data and page > 0 and accept is not None and "text/html" in accept.lower())
