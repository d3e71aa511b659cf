"""SVG elements as text; colours are classes, since a page's policy allows no style in an attribute.

Source: https://www.w3.org/TR/SVG2/ (role, title and links: https://www.w3.org/TR/svg-aam-1.0/).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from markupsafe import Markup, escape

from publisher.pages.escaping import escape_unsafe_text

Value = str | int | float | None
STEPS = 6  # shades of a heat map, beside none at all


def element(name: str, *children: Markup | str, **attributes: Value) -> Markup:
    """Write an element; ``class_`` is class, an underscore within a name a hyphen, None leaves an attribute out.

    >>> element("text", "a < b", class_="quiet", text_anchor="end")
    Markup('<text class="quiet" text-anchor="end">a &lt; b</text>')
    """
    text = "".join(f' {_attribute_name(key)}="{escape(_format_value(value))}"' for key, value in attributes.items() if value is not None)
    inner = Markup("").join(children)
    return Markup(f"<{name}{text}>{inner}</{name}>" if inner else f"<{name}{text}/>")


def _attribute_name(key: str) -> str:
    return "viewBox" if key == "view_box" else key.rstrip("_").replace("_", "-")


def _format_value(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def linked(href: str, *children: Markup) -> Markup:
    """Write a link around a part of a drawing; without an address the part alone."""
    return element("a", *children, href=href) if href else Markup("").join(children)


def svg(width: float, height: float, label: str, *children: Markup, class_: str = "") -> Markup:
    """Write a drawing that is as wide as its place allows; *label* is what is read out in its stead."""
    whole = {"class_": f"drawing {class_}".strip(), "view_box": f"0 0 {_format_value(width)} {_format_value(height)}", "aria_label": label}
    return element("svg", *children, role="group" if any("<a " in part for part in children) else "img", **whole)


@cache
def stylesheet() -> str:
    """Return the style of all drawings."""
    return (Path(__file__).parents[2] / "static" / "figures.css").read_text()


def standalone_svg(drawing: Markup) -> bytes:
    """Return a drawing as a file of its own, with its style inside."""
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    opening, _, rest = drawing.partition(">")
    box = opening.partition('viewBox="')[2].partition('"')[0].split()
    sized = f' width="{box[2]}" height="{box[3]}"' if len(box) == 4 else ""
    return escape_unsafe_text(f"{head}{opening.removeprefix('<svg')}{sized}><style>{stylesheet()}</style>{rest}").encode()


def shade_ranges(most: int) -> list[tuple[int, int, int]]:
    """Return the shades that numbers up to *most* have, each with its lowest and highest number, for a legend.

    >>> shade_ranges(100)
    [(0, 0, 0), (1, 1, 2), (2, 3, 11), (3, 12, 25), (4, 26, 44), (5, 45, 69), (6, 70, 100)]
    """
    found, low = [(0, 0, 0)], 1
    for step in range(1, STEPS + 1):
        high = most * step * step // (STEPS * STEPS)
        if low <= high:
            found.append((step, low, high))
            low = high + 1
    return found


def shade(value: int, most: int) -> int:
    """Return the shade of a number among others, 0 of none, else 1 to STEPS: by its root, since few are many times the others.

    >>> [shade(value, 100) for value in (0, 1, 25, 100)]
    [0, 1, 3, 6]
    """
    return 0 if value <= 0 or most <= 0 else max(1, min(STEPS, -int(-STEPS * (value / most) ** 0.5 // 1)))
