"""Bar charts, column charts and sparklines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from web.charts.svg import element, linked, svg

SERIES = 7  # colours; all further series are drawn as one


class Bar(NamedTuple):
    """A bar: its name, its value, and the URL that it links, "" for none."""

    name: str
    value: int
    href: str = ""


def bar_chart(rows: Sequence[Bar], label: str, width: int = 760) -> Markup:
    """Draw horizontal bars with names on the left and values on the right."""
    largest, names = max((row.value for row in rows), default=1) or 1, width * 0.45
    drawn = [
        _bar(row, 22 * index, largest, names, width - names - 70) for index, row in enumerate(rows)
    ]
    return svg(width, max(22 * len(rows), 22), label, *drawn, class_="bars")


def _bar(row: Bar, y: float, largest: int, left: float, available: float) -> Markup:
    name = row.name if len(row.name) <= 48 else f"{row.name[:47]}…"
    length = available * row.value / largest
    return linked(
        row.href,
        element("text", name, x=left - 8, y=y + 15, text_anchor="end"),
        element("rect", x=left, y=y + 4, width=length, height=14, class_="s1"),
        element(
            "text",
            f"{row.value:,}".replace(",", " "),
            x=left + length + 6,
            y=y + 15,
            class_="quiet",
        ),
    )


def column_chart(
    years: Sequence[str],
    series: Mapping[str, Mapping[str, int]],
    label: str,
    width: int = 760,
    height: int = 300,
) -> Markup:
    """Draw a column for each year, stacked from *series*, whose values are by year. Each segment
    has a tooltip.
    """
    largest = (
        max((sum(counts.get(year, 0) for counts in series.values()) for year in years), default=0)
        or 1
    )
    left, foot, available = 56.0, height - 28.0, height - 48.0
    step = (width - left - 8) / max(len(years), 1)
    drawn = [
        _grid_line(value, left, foot - available * value / largest, width)
        for value in _round_steps(largest)
    ]
    every = max(1, -(-len(years) // max(1, int((width - left) // 46))))
    for index, year in enumerate(years):
        x, top = left + index * step, foot
        for number, (name, counts) in enumerate(series.items(), 1):
            if count := counts.get(year, 0):
                segment = available * count / largest
                top -= segment
                drawn.append(
                    _column_segment(x, top, step, segment, number, f"{year}, {name}: {count}")
                )
        if index % every == 0:
            class_ = "quiet minor" if index // every % 2 else "quiet"
            drawn.append(
                element(
                    "text", year, x=x + step / 2, y=height - 8, text_anchor="middle", class_=class_
                )
            )
    drawn.append(element("path", d=f"M{left} {foot}H{width}", class_="axis"))
    return svg(width, height, label, *drawn, class_="columns")


def _column_segment(
    x: float, y: float, step: float, height: float, number: int, tooltip: str
) -> Markup:
    return element(
        "rect",
        element("title", tooltip),
        x=x + step * 0.12,
        y=y,
        width=step * 0.76,
        height=height,
        class_=f"s{min(number, SERIES)}",
    )


def _grid_line(value: int, left: float, y: float, width: float) -> Markup:
    text = element(
        "text",
        f"{value:,}".replace(",", " "),
        x=left - 6,
        y=y + 4,
        text_anchor="end",
        class_="quiet",
    )
    return element(
        "g",
        text,
        element("path", d=f"M{left} {y:.1f}H{width}", class_="axis", stroke_opacity="0.4"),
    )


def _round_steps(largest: int) -> list[int]:
    """Return round numbers up to *largest*.

    >>> _round_steps(37), _round_steps(3)
    ([10, 20, 30], [1, 2, 3])
    """
    size = 10 ** (len(str(largest)) - 1)
    step = next(
        (
            size * part // 10
            for part in (2, 5, 10, 20, 50)
            if size * part // 10 and largest / (size * part / 10) <= 4
        ),
        size,
    )
    return list(range(step, largest + 1, step))


WIDTH, HEIGHT = 120, 28  # units


def sparkline(values: Mapping[int, int], label: str) -> Markup | None:
    """Draw *values* by year, missing years as 0; None for fewer than three years.

    >>> sparkline({2020: 1, 2021: 2}, "x") is None, 'class="drawing spark"' in sparkline({2020: 1, 2023: 4}, "x")
    (True, True)
    """
    if not values or max(values) - min(values) < 2:
        return None
    first, last, largest = min(values), max(values), max(1, *values.values())
    points = [
        (
            WIDTH * (year - first) / (last - first),
            HEIGHT - 2 - (HEIGHT - 4) * values.get(year, 0) / largest,
        )
        for year in range(first, last + 1)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return svg(
        WIDTH,
        HEIGHT,
        f"{label}, {first}–{last}",
        element("polyline", points=line, class_="line"),
        class_="spark",
    )
