"""Drawings as SVG, written by the macros of ``charts.html``: charts with the shades of their numbers,
and world maps in the Equal Earth projection, where countries too small for a visible shade have a
dot as well.

The outlines (Natural Earth, by the package world-atlas) are drawn when the program is built:
publisher/web/atlas.mjs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from math import asin, cos, pi, radians, sin
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from jinja2.environment import TemplateModule
from markupsafe import Markup

from web.templating import STATIC_FOLDER, create_environment, escape_unsafe_text

STEPS = 6  # shades of a heat map, besides that of 0
SERIES = 7  # colours of a column chart; all further series are drawn as one
MAX_ORGANIZATIONS = 24  # organizations of a network that are drawn
_DISTINCT = 1.25  # the highest numbers of two classes differ by this factor at least


class Bar(NamedTuple):
    """A bar, or the row or column of a heat map: its code, its name, its number and the URL that it
    links, "" for none.
    """

    code: str
    name: str
    value: Any
    href: str


def render(macro: str, **values: Any) -> Markup:
    """Return the drawing of a macro."""
    drawing: Markup = getattr(_macros(), macro)(**values)
    return drawing


@cache
def _macros() -> TemplateModule:
    environment = create_environment([Path(__file__).parent], _number)
    environment.filters.update(
        number=_number,
        grouped=lambda number: f"{number:,}".replace(",", " "),
        shorten=lambda text, most: text if len(text) <= most else f"{text[: most - 1]}…",
    )
    return environment.get_template("charts.html").module


def _number(value: object) -> object:
    """Return a coordinate with two digits at most; any other value unchanged."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def bar_chart(rows: Sequence[Bar], label: str) -> Markup:
    """Draw horizontal bars with names on the left and values on the right."""
    largest = max((row.value for row in rows), default=1) or 1
    return render("bar_chart", rows=rows, label=label, largest=largest)


def column_chart(
    years: Sequence[str], series: Mapping[str, Mapping[str, int]], label: str
) -> Markup:
    """Draw a stacked column for each of *years*, at least one, from *series*, whose values are by
    year. Each segment has a tooltip.
    """
    largest = max(sum(counts.get(year, 0) for counts in series.values()) for year in years) or 1
    return render(
        "column_chart",
        years=years,
        series=series,
        label=label,
        largest=largest,
        steps=_round_steps(largest),
        colours={name: min(number, SERIES) for number, name in enumerate(series, 1)},
    )


def _round_steps(largest: int) -> list[int]:
    """Return round numbers up to *largest*.

    >>> _round_steps(37), _round_steps(3)
    ([10, 20, 30], [1, 2, 3])
    """
    size = 10 ** (len(str(largest)) - 1)
    steps = (size * part // 10 for part in (2, 5, 10, 20, 50))
    step = next((step for step in steps if step and largest / step <= 4), size)
    return list(range(step, largest + 1, step))


def sparkline(values: Mapping[int, int], label: str) -> Markup | None:
    """Draw *values* by year, missing years as 0; None for fewer than three years.

    >>> sparkline({2020: 1, 2021: 2}, "x") is None, 'class="drawing spark"' in sparkline({2020: 1, 2023: 4}, "x")
    (True, True)
    """
    if not values or max(values) - min(values) < 2:
        return None
    first, last, largest, width, height = (
        min(values),
        max(values),
        max(1, *values.values()),
        120,
        28,
    )
    points = [
        (width * (year - first) / (last - first), height - 2 - (height - 4) * values.get(year, 0) / largest)
        for year in range(first, last + 1)
    ]  # fmt: skip
    line, label = " ".join(f"{x:.1f},{y:.1f}" for x, y in points), f"{label}, {first}–{last}"
    return render("sparkline", points=line, label=label, width=width, height=height)


def heatmap(
    rows: Sequence[Bar],
    columns: Sequence[Bar],
    values: Mapping[tuple[str, str], int],
    rings: Mapping[tuple[str, str], str],
    label: str,
    *,
    mirrored: bool = False,
) -> Markup:
    """Draw a cell with its number for each pair of codes.

    *rings* names by pair the class of a ring around it, such as ``agreed`` or ``disputed``. With
    *mirrored* the rows begin at the right, for languages written from right to left.
    """
    most = max(values.values(), default=0)
    shades = {pair: shade(value, most) for pair, value in values.items()}
    return render(
        "heatmap", rows=rows, columns=columns, values=values, rings=rings, shades=shades, label=label, mirrored=mirrored
    )  # fmt: skip


def network_diagram(
    pairs: Sequence[tuple[str, str, int]],
    find_names: Callable[[Collection[str]], Mapping[str, str]],
    href: Mapping[str, str],
    label: str,
    own: str = "",
) -> Markup | None:
    """Draw the organizations of *pairs* (one, other, number of joint initiatives), strongest pairs
    first, on a circle: no line covers a name, and the drawing depends on the data alone. *own* is
    in the middle.

    None without pairs.
    """
    parties: dict[str, None] = {own: None} if own else {}
    for one, other, _ in sorted(pairs, key=lambda item: (own not in item[:2], -item[2], item[:2])):
        for party in (one, other):
            if len(parties) < MAX_ORGANIZATIONS:
                parties.setdefault(party)
    strongest = [item for item in pairs if item[0] in parties and item[1] in parties]
    others = {party for pair in strongest for party in pair[:2]} - {own}
    names = find_names(parties)
    circle = sorted(others, key=lambda party: names.get(party, party).lower())
    if not circle:
        return None
    angles = {party: 2 * pi * index / len(circle) for index, party in enumerate(circle)}
    center = (360, 270)
    places: dict[str, tuple[float, float]] = {
        party: (center[0] + 200 * sin(angle), center[1] - 200 * cos(angle))
        for party, angle in angles.items()
    } | ({own: center} if own else {})
    most = max(things for *_, things in strongest)
    edges = [
        {
            "line": _curve(places[one], places[other], center),
            "width": 1 + 7 * things / most,
            "title": f"{names.get(one, one)} – {names.get(other, other)}: {things}",
        }
        for one, other, things in strongest
    ]
    nodes = [
        {"x": x, "y": y, "name": names.get(party, party), "href": href.get(party, ""), "own": party == own}
        for party, (x, y) in sorted(places.items())
    ]  # fmt: skip
    return render("network", edges=edges, nodes=nodes, label=label)


def _curve(
    one: tuple[float, float], other: tuple[float, float], center: tuple[float, float]
) -> str:
    """Return the path between two points, bent towards *center*."""
    x, y = ((a + b) / 2 * 0.6 + c * 0.4 for a, b, c in zip(one, other, center, strict=True))
    return f"M{one[0]:.1f} {one[1]:.1f}Q{x:.1f} {y:.1f} {other[0]:.1f} {other[1]:.1f}"


@cache
def stylesheet() -> str:
    """Return the style sheet of all drawings."""
    return (STATIC_FOLDER / "figures.css").read_text()


def standalone_svg(drawing: Markup) -> bytes:
    """Return a drawing as a standalone file with its styles."""
    opening, _, rest = str(drawing).partition(">")
    _x, _y, width, height = opening.partition('viewBox="')[2].partition('"')[0].split()
    head = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    sized = f'{head} width="{width}" height="{height}"'
    return escape_unsafe_text(f"{sized}><style>{stylesheet()}</style>{rest}").encode()


def shade_ranges(most: int) -> list[tuple[int, int, int]]:
    """Return the shades for numbers up to *most*, each with its lowest and highest number, for a
    legend.

    >>> shade_ranges(100)
    [(0, 0, 0), (1, 1, 2), (2, 3, 11), (3, 12, 25), (4, 26, 44), (5, 45, 69), (6, 70, 100)]
    """
    ranges, low = [(0, 0, 0)], 1
    for step in range(1, STEPS + 1):
        high = most * step * step // (STEPS * STEPS)
        if low <= high:
            ranges.append((step, low, high))
            low = high + 1
    return ranges


def shade(value: int, most: int) -> int:
    """Return the shade of a number up to *most*: 0 for 0, else 1 to STEPS by its square root, since
    a few numbers are far larger.

    >>> [shade(value, 100) for value in (0, 1, 25, 100)]
    [0, 1, 3, 6]
    """
    return (
        0
        if value <= 0 or most <= 0
        else max(1, min(STEPS, -int(-STEPS * (value / most) ** 0.5 // 1)))
    )


def quantile_bounds(values: Iterable[int]) -> tuple[int, ...]:
    """Return the highest number of each of at most STEPS classes with about equally many of the
    positive *values*; classes whose highest numbers hardly differ are one.

    >>> quantile_bounds([1, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]), quantile_bounds([4, 4]), quantile_bounds([])
    ((1, 2, 5, 13, 34, 89), (4,), ())
    >>> quantile_bounds([89, 94, 97, 101, 108, 120])
    (94, 120)
    """
    ranked = sorted(value for value in values if value > 0)
    bounds = list[int]()
    for step in range(STEPS, 0, -1) if ranked else ():
        bound = ranked[-(-step * len(ranked) // STEPS) - 1]
        if not bounds or bound * _DISTINCT <= bounds[0]:
            bounds.insert(0, bound)
    return tuple(bounds)


def quantile_shade(value: int, bounds: tuple[int, ...]) -> int:
    """Return the shade of a number in the classes of *bounds*, 0 for 0; a few classes get well
    separated shades.

    >>> [quantile_shade(value, (1, 2, 5, 13, 34, 89)) for value in (0, 1, 4, 89)], quantile_shade(4, (4,))
    ([0, 1, 3, 6], 6)
    """
    if value <= 0 or not bounds:
        return 0
    return STEPS * (min(bisect_left(bounds, value), len(bounds) - 1) + 1) // len(bounds)


def quantile_ranges(bounds: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return the shades of the classes, each with its lowest and highest number, for a legend.

    >>> quantile_ranges((1, 2, 5))
    [(0, 0, 0), (2, 1, 1), (4, 2, 2), (6, 3, 5)]
    """
    lowest = [1, *(bound + 1 for bound in bounds)]
    return [
        (0, 0, 0),
        *(
            (quantile_shade(high, bounds), low, high)
            for low, high in zip(lowest, bounds, strict=False)
        ),
    ]


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
