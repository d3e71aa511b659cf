"""Heat maps: shades for the counts of two facets, with rings around marked cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from web.charts.svg import element, linked, shade, svg

SIDE = 38  # units of a cell
_LIGHT = 3  # from this shade on, numbers are white


class HeatmapLabel(NamedTuple):
    """A row or a column: its code, its name and the URL that it links."""

    code: str
    name: str
    href: str = ""


def heatmap(
    rows: Sequence[HeatmapLabel],
    columns: Sequence[HeatmapLabel],
    values: Mapping[tuple[str, str], int],
    marks: Mapping[tuple[str, str], str],
    label: str,
    *,
    mirrored: bool = False,
) -> Markup:
    """Draw a cell with its number for each pair of codes.

    *marks* names by pair the class of a ring around it, such as ``agreed`` or ``disputed``. With
    *mirrored* the rows begin at the right, for languages written from right to left.
    """
    most, left, top = max(values.values(), default=0), 4 if mirrored else 90, 26
    names_x, anchor = (left + SIDE * len(columns) + 8, "start") if mirrored else (left - 8, "end")
    places = [len(columns) - 1 - at if mirrored else at for at in range(len(columns))]
    drawn = [
        element("text", item.code, x=left + SIDE * (at + 0.5), y=top - 9, text_anchor="middle")
        for at, item in zip(places, columns, strict=True)
    ]
    for down, row in enumerate(rows):
        y = top + SIDE * down
        drawn.append(
            linked(
                row.href,
                element(
                    "text",
                    element("title", row.name),
                    row.code,
                    x=names_x,
                    y=y + SIDE / 2 + 5,
                    text_anchor=anchor,
                ),
            )
        )
        for over, column in zip(places, columns, strict=True):
            pair = row.code, column.code
            title = f"{row.code} × {column.code}: {values.get(pair, 0)}" + (
                f", {marks[pair]}" if pair in marks else ""
            )
            drawn.append(
                _cell(left + SIDE * over, y, values.get(pair, 0), most, marks.get(pair, ""), title)
            )
    return svg(94 + SIDE * len(columns), top + SIDE * len(rows) + 4, label, *drawn, class_="heat")


def _cell(x: float, y: float, value: int, most: int, mark: str, title: str) -> Markup:
    whole = [
        element(
            "rect",
            element("title", title),
            x=x + 1,
            y=y + 1,
            width=SIDE - 2,
            height=SIDE - 2,
            class_=f"h{shade(value, most)}",
        )
    ]
    if mark:
        whole.append(
            element(
                "rect", x=x + 3, y=y + 3, width=SIDE - 6, height=SIDE - 6, class_=f"mark {mark}"
            )
        )
    if value:
        inside = "inside" if shade(value, most) > _LIGHT else ""
        whole.append(
            element(
                "text",
                f"{value}",
                x=x + SIDE / 2,
                y=y + SIDE / 2 + 4,
                text_anchor="middle",
                class_=f"cell {inside}".strip(),
            )
        )
    return element("g", *whole)
