"""Draw partnerships as a network on a circle: no line hides a name, and the same data give the same drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sin

from markupsafe import Markup

from publisher.pages.charts.svg import element, linked, svg

MOST = 24  # organizations that are drawn
_NAME = 26  # characters of a name


def network_diagram(
    pairs: Sequence[tuple[str, str, int]], names: Mapping[str, str], href: Mapping[str, str], label: str, own: str = ""
) -> Markup | None:
    """Draw the organizations of *pairs* (one, other, how many things together), the strongest pairs first; *own* is in the middle.

    None where nobody works with another.
    """
    kept = _strongest_pairs(pairs, own)
    around = sorted({who for one, other, _ in kept for who in (one, other)} - {own}, key=lambda who: names.get(who, who).lower())
    if not around:
        return None
    at = {who: (360 + 200 * sin(2 * pi * n / len(around)), 270 - 200 * cos(2 * pi * n / len(around))) for n, who in enumerate(around)}
    if own:
        at[own] = (360, 270)
    most = max(things for *_, things in kept)
    drawn = [
        _edge(at[one], at[other], things, most, f"{names.get(one, one)} – {names.get(other, other)}: {things}")
        for one, other, things in kept
    ]
    drawn += [_node(who, place, names.get(who, who), href.get(who, ""), who == own) for who, place in sorted(at.items())]
    return svg(720, 540, label, *drawn, class_="network")


def _strongest_pairs(pairs: Sequence[tuple[str, str, int]], own: str) -> list[tuple[str, str, int]]:
    """Keep the pairs among the first MOST organizations that are met, those of *own* first."""
    met: dict[str, None] = {own: None} if own else {}
    for one, other, _ in sorted(pairs, key=lambda item: (own not in item[:2], -item[2], item[:2])):
        for who in (one, other):
            if len(met) < MOST:
                met.setdefault(who)
    return [item for item in pairs if item[0] in met and item[1] in met]


def _edge(one: tuple[float, float], other: tuple[float, float], things: int, most: int, title: str) -> Markup:
    bend = tuple((one[n] + other[n]) / 2 * 0.6 + (360, 270)[n] * 0.4 for n in (0, 1))
    line = f"M{one[0]:.1f} {one[1]:.1f}Q{bend[0]:.1f} {bend[1]:.1f} {other[0]:.1f} {other[1]:.1f}"
    return element("path", element("title", title), d=line, class_="edge", stroke_width=1 + 7 * things / most)


def _node(who: str, place: tuple[float, float], name: str, href: str, own: bool) -> Markup:
    x, y = place
    short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    side = "middle" if abs(x - 360) < 30 else "start" if x > 360 else "end"
    away = 0 if side == "middle" else 11 if side == "start" else -11
    down = 22 if own or (side == "middle" and y > 270) else -13 if side == "middle" else 4
    text = element("text", element("title", name), short, x=x + away, y=y + down, text_anchor=side)
    return linked(href, element("circle", cx=x, cy=y, r=9 if own else 6, class_="node own" if own else "node"), text)
