"""World maps in the Equal Earth projection; countries too small for a visible shade have a dot as
well.

The outlines (Natural Earth, by the package world-atlas) are drawn when the program is built:
publisher/web/atlas.mjs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from math import asin, cos, radians, sin
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from web.charts.svg import quantile_bounds, quantile_shade, render
from web.static_files import STATIC_FOLDER

FILE = STATIC_FOLDER / "query" / "world.json"
MARGIN = 160  # units around the centres of the countries that a drawing is cropped to


@cache
def load_outlines(file: Path = FILE) -> Mapping[str, Any] | None:
    """Return the outlines by M49 code; None if they were not built (npm is needed for that)."""
    try:
        outlines: Mapping[str, Any] = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    return outlines


def outlined_areas() -> frozenset[str]:
    """Return the M49 codes that have an outline."""
    outlines = load_outlines()
    return frozenset(outlines["countries"]) if outlines else frozenset()


def world_map(
    values: Mapping[str, int],
    name: Callable[[str], str],
    href: Callable[[str], str],
    label: str,
    focus: Collection[str] = (),
) -> Markup | None:
    """Draw the world; *values* are by M49 code of three digits, shaded by quantiles. None without
    outlines.

    *focus* are the codes of the countries that the map is cropped to; empty for the world.
    """
    bounds = quantile_bounds(values.values())

    def describe(code: str) -> dict[str, object]:
        value = values.get(code, 0)
        # An area that the vocabulary does not name has no title.
        named = code.isdigit() and name(code) != code
        title = f"{name(code)}: {value:,}".replace(",", " ") if named else ""
        shade = quantile_shade(value, bounds)
        return {"title": title, "href": href(code) if value else "", "shade": shade}

    return _render_map(describe, focus, label)


def point_map(
    points: Iterable[tuple[float, float, str]], areas: Collection[str], label: str
) -> Markup | None:
    """Draw *areas* shaded and *points* (latitude, longitude, name) as dots, cropped to the areas."""
    return _render_map(lambda code: {"shade": 3 if code in areas else 0}, areas, label, points)


def _render_map(
    describe: Callable[[str], dict[str, object]],
    focus: Collection[str],
    label: str,
    points: Iterable[tuple[float, float, str]] = (),
) -> Markup | None:
    outlines = load_outlines()
    if outlines is None:
        return None
    countries = [
        {"title": "", "href": "", **shape, **describe(code)}
        for code, shape in sorted(outlines["countries"].items())
    ]
    return render(
        "world_map",
        outlines=outlines,
        countries=countries,
        dots=[country for country in countries if country["dot"] and country["shade"]],
        points=[(*project(x, y, outlines["width"], outlines["height"]), name) for x, y, name in points],
        label=label,
        box=cut(outlines, focus),
    )  # fmt: skip


def cut(
    outlines: Mapping[str, Any], focus: Collection[str]
) -> tuple[float, float, float, float] | None:
    """Return left, top, width and height of the box around the countries of *focus*, None if none of
    them has an outline.
    """
    points = [outlines["countries"][code]["at"] for code in focus if code in outlines["countries"]]
    if not points:
        return None
    left, right = (edge(x for x, _ in points) for edge in (min, max))
    top, bottom = (edge(y for _, y in points) for edge in (min, max))
    width = min(
        float(outlines["width"]), max(right - left + 2 * MARGIN, 2 * (bottom - top + 2 * MARGIN))
    )
    height = min(float(outlines["height"]), max(bottom - top + 2 * MARGIN, width / 2))
    x = min(max((left + right - width) / 2, 0), outlines["width"] - width)
    y = min(max((top + bottom - height) / 2, 0), outlines["height"] - height)
    return x, y, width, height


_A = (1.340264, -0.081106, 0.000893, 0.003796)


def project(latitude: float, longitude: float, width: float, height: float) -> tuple[float, float]:
    """Project a point like the outlines: Equal Earth
    (https://doi.org/10.1080/13658816.2018.1504949), the whole globe.

    >>> project(0, 0, 2000, 974)
    (1000.0, 487.0)
    """
    across, _ = _equal_earth(0, 180)
    x, y = _equal_earth(latitude, longitude)
    scale = width / (2 * across)
    return width / 2 + scale * x, height / 2 - scale * y


def _equal_earth(latitude: float, longitude: float) -> tuple[float, float]:
    root = 3**0.5 / 2
    angle = asin(root * sin(radians(latitude)))
    square, sixth = angle**2, angle**6
    x = (
        radians(longitude)
        * cos(angle)
        / (root * (_A[0] + 3 * _A[1] * square + sixth * (7 * _A[2] + 9 * _A[3] * square)))
    )
    return x, angle * (_A[0] + _A[1] * square + sixth * (_A[2] + _A[3] * square))
