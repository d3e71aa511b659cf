"""Numbers of two kinds at once as shades, with a mark where another table says that the two belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from publisher.pages.charts.svg import element, linked, shade, svg

SIDE = 38  # units of a cell


class HeatmapLabel(NamedTuple):
    """A row or a column: its code, its name and what it leads to."""

    code: str
    name: str
    href: str = ""


def heatmap(
    rows: Sequence[HeatmapLabel],
    columns: Sequence[HeatmapLabel],
    values: Mapping[tuple[str, str], int],
    marks: Mapping[tuple[str, str], str],
    label: str,
) -> Markup:
    """Draw a cell a pair of codes; *marks* tells by pair the class of a ring around it, such as ``agreed`` or ``disputed``."""
    most, left, top = max(values.values(), default=0), 90, 26
    drawn = [element("text", item.code, x=left + SIDE * (at + 0.5), y=top - 9, text_anchor="middle") for at, item in enumerate(columns)]
    for down, row in enumerate(rows):
        y = top + SIDE * down
        drawn.append(
            linked(row.href, element("text", element("title", row.name), row.code, x=left - 8, y=y + SIDE / 2 + 5, text_anchor="end"))
        )
        for over, column in enumerate(columns):
            pair = row.code, column.code
            title = f"{row.code} × {column.code}: {values.get(pair, 0)}" + (f", {marks[pair]}" if pair in marks else "")
            drawn.append(_cell(left + SIDE * over, y, values.get(pair, 0), most, marks.get(pair, ""), title))
    return svg(left + SIDE * len(columns) + 4, top + SIDE * len(rows) + 4, label, *drawn, class_="heat")


def _cell(x: float, y: float, value: int, most: int, mark: str, title: str) -> Markup:
    whole = [element("rect", element("title", title), x=x + 1, y=y + 1, width=SIDE - 2, height=SIDE - 2, class_=f"h{shade(value, most)}")]
    if mark:
        whole.append(element("rect", x=x + 3, y=y + 3, width=SIDE - 6, height=SIDE - 6, class_=f"mark {mark}"))
    return element("g", *whole)
