"""Figures that other sites show in a frame: their addresses, and the frames that show them."""

from __future__ import annotations

from html import escape
from typing import NamedTuple
from urllib.parse import quote, urlencode

from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter

PATH = "/embed"
KINDS = ("count", "bars", "table", "trend", "map", "matrix")  # of embeds
BY_FACET = ("bars", "table", "trend")  # whose addresses end with a facet
THEMES = ("auto", "light", "dark")
WIDTH = 640  # pixels of a frame where none is asked for
# pixels
HEIGHTS = {"count": 160, "bars": 520, "table": 480, "trend": 480, "map": 460, "matrix": 620}
_SMALLEST = 120  # pixels


class Frame(NamedTuple):
    """An iframe: its address, title and size in pixels. It is as wide as its container, up to
    *width*.
    """

    url: str
    title: str
    width: int
    height: int

    @property
    def html(self) -> str:
        """Return the element that a site includes."""
        style = f"border:0;width:100%;max-width:{self.width}px;height:{self.height}px;resize:both;overflow:auto"
        return (
            f'<iframe src="{escape(self.url)}" title="{escape(self.title)}" width="{self.width}" height="{self.height}" '
            f'style="{style}" loading="lazy" referrerpolicy="no-referrer"></iframe>'
        )


def embed_path(kind: str, facet: str, filters: Filter) -> str:
    """Return the address of an embed; "" if no parameters express *filters*."""
    if filters.party or filters.words or filters.among is not None:
        return ""
    pairs = filters.url_parameters()
    path = f"{PATH}/{kind}/{quote(facet)}" if kind in BY_FACET else f"{PATH}/{kind}"
    return f"{path}?{urlencode(pairs)}" if pairs else path


def is_embed(kind: str, facet: str) -> bool:
    """Return whether there are embeds of *kind*, and by *facet* if it needs one."""
    return kind in KINDS and (facet in FACETS if kind in BY_FACET else not facet)


def frame(
    url: str, title: str, kind: str, width: int | None = None, height: int | None = None
) -> Frame:
    """Return the frame of an embed, not larger than *width* and *height*."""
    return Frame(
        url,
        title,
        max(_SMALLEST, min(width or WIDTH, WIDTH)),
        max(_SMALLEST, min(height or HEIGHTS[kind], HEIGHTS[kind])),
    )
