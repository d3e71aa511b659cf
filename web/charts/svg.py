"""SVG elements as text; colours are CSS classes, since the content security policy forbids style
attributes.

Source: https://www.w3.org/TR/SVG2/ (role, title and links: https://www.w3.org/TR/svg-aam-1.0/).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

from markupsafe import Markup, escape

from languages.unsafe_text import escape_unsafe_text
from web.static_files import STATIC_FOLDER

Value = str | int | float | None
STEPS = 6  # shades of a heat map, besides that of 0
_DISTINCT = 1.25  # the highest numbers of two classes differ by this factor at least


def element(name: str, *children: Markup | str, **attributes: Value) -> Markup:
    """Write an element; ``class_`` is class, an underscore within a name a hyphen, None leaves an
    attribute out.

    >>> element("text", "a < b", class_="quiet", text_anchor="end")
    Markup('<text class="quiet" text-anchor="end">a &lt; b</text>')
    """
    text = "".join(
        f' {_attribute_name(key)}="{escape(_format_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup(f"<{name}{text}>{inner}</{name}>" if inner else f"<{name}{text}/>")


def _attribute_name(key: str) -> str:
    return "viewBox" if key == "view_box" else key.rstrip("_").replace("_", "-")


def _format_value(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def linked(href: str, *children: Markup) -> Markup:
    """Write a link around a part of a drawing; without a URL the part alone."""
    return element("a", *children, href=href) if href else Markup("").join(children)


# left, top, width and height of the visible part of a drawing
Box = tuple[float, float, float, float]


def svg(
    width: float,
    height: float,
    label: str,
    *children: Markup,
    class_: str = "",
    box: Box | None = None,
) -> Markup:
    """Write a drawing as wide as its container; *label* is the text for screen readers, *box* the
    visible part.
    """
    view_box = " ".join(str(_format_value(side)) for side in box or (0, 0, width, height))
    whole = {"class_": f"drawing {class_}".strip(), "view_box": view_box, "aria_label": label}
    return element(
        "svg",
        *children,
        role="group" if any("<a " in part for part in children) else "img",
        **whole,
    )


@cache
def stylesheet() -> str:
    """Return the style sheet of all drawings."""
    return (STATIC_FOLDER / "figures.css").read_text()


def standalone_svg(drawing: Markup) -> bytes:
    """Return a drawing as a standalone file with its styles."""
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    opening, _, rest = drawing.partition(">")
    box = opening.partition('viewBox="')[2].partition('"')[0].split()
    sized = f' width="{box[2]}" height="{box[3]}"' if len(box) == 4 else ""
    return escape_unsafe_text(
        f"{head}{opening.removeprefix('<svg')}{sized}><style>{stylesheet()}</style>{rest}"
    ).encode()


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
