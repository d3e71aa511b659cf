"""Draw partnerships as a network on a circle: no line covers a name, and the drawing depends on the
data alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sin

from markupsafe import Markup

from web.charts.svg import element, linked, svg

MAX_ORGANIZATIONS = 24  # organizations that are drawn
_NAME = 26  # characters of a name


def network_diagram(
    pairs: Sequence[tuple[str, str, int]],
    names: Mapping[str, str],
    href: Mapping[str, str],
    label: str,
    own: str = "",
) -> Markup | None:
    """Draw the organizations of *pairs* (one, other, number of joint initiatives), strongest pairs
    first; *own* is in the middle.

    None without pairs.
    """
    strongest = _strongest_pairs(pairs, own)
    others = {party for one, other, _ in strongest for party in (one, other)} - {own}
    circle = sorted(others, key=lambda party: names.get(party, party).lower())
    if not circle:
        return None
    angles = {party: 2 * pi * index / len(circle) for index, party in enumerate(circle)}
    positions = {
        party: (360 + 200 * sin(angle), 270 - 200 * cos(angle)) for party, angle in angles.items()
    }
    if own:
        positions[own] = (360, 270)
    strongest_count = max(things for *_, things in strongest)
    drawn = [
        _edge(
            positions[one],
            positions[other],
            things,
            strongest_count,
            f"{names.get(one, one)} – {names.get(other, other)}: {things}",
        )
        for one, other, things in strongest
    ]
    drawn += [
        _node(party, position, names.get(party, party), href.get(party, ""), party == own)
        for party, position in sorted(positions.items())
    ]
    return svg(720, 540, label, *drawn, class_="network")


def _strongest_pairs(pairs: Sequence[tuple[str, str, int]], own: str) -> list[tuple[str, str, int]]:
    """Return the pairs among the first MAX_ORGANIZATIONS organizations, those of *own* first."""
    parties: dict[str, None] = {own: None} if own else {}
    for one, other, _ in sorted(pairs, key=lambda item: (own not in item[:2], -item[2], item[:2])):
        for party in (one, other):
            if len(parties) < MAX_ORGANIZATIONS:
                parties.setdefault(party)
    return [item for item in pairs if item[0] in parties and item[1] in parties]


def _edge(
    one: tuple[float, float],
    other: tuple[float, float],
    things: int,
    strongest_count: int,
    title: str,
) -> Markup:
    bend = tuple((one[n] + other[n]) / 2 * 0.6 + (360, 270)[n] * 0.4 for n in (0, 1))
    line = f"M{one[0]:.1f} {one[1]:.1f}Q{bend[0]:.1f} {bend[1]:.1f} {other[0]:.1f} {other[1]:.1f}"
    return element(
        "path",
        element("title", title),
        d=line,
        class_="edge",
        stroke_width=1 + 7 * things / strongest_count,
    )


def _node(party: str, position: tuple[float, float], name: str, href: str, own: bool) -> Markup:
    x, y = position
    short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    side = "middle" if abs(x - 360) < 30 else "start" if x > 360 else "end"
    away = 0 if side == "middle" else 11 if side == "start" else -11
    down = 22 if own or (side == "middle" and y > 270) else -13 if side == "middle" else 4
    text = element("text", element("title", name), short, x=x + away, y=y + down, text_anchor=side)
    return linked(
        href,
        element("circle", cx=x, cy=y, r=9 if own else 6, class_="node own" if own else "node"),
        text,
    )
