"""A small line without axes that shows how a number went over the years, to stand beside the number."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from publisher.pages.charts.svg import element, svg

WIDTH, HEIGHT = 120, 28  # units


def sparkline(values: Mapping[int, int], label: str) -> Markup | None:
    """Draw *values* by year, years without one as 0; None where there are fewer than three years.

    >>> sparkline({2020: 1, 2021: 2}, "x") is None, 'class="drawing spark"' in sparkline({2020: 1, 2023: 4}, "x")
    (True, True)
    """
    if not values or max(values) - min(values) < 2:
        return None
    first, last, most = min(values), max(values), max(1, *values.values())
    points = [
        (WIDTH * (year - first) / (last - first), HEIGHT - 2 - (HEIGHT - 4) * values.get(year, 0) / most) for year in range(first, last + 1)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return svg(WIDTH, HEIGHT, f"{label}, {first}–{last}", element("polyline", points=line, class_="line"), class_="spark")
