"""Maps: things by country, and the places of one thing."""

from __future__ import annotations

from markupsafe import Markup

from publisher.figures import world
from publisher.languages.catalogue import translated as _
from publisher.portal.names import Names
from publisher.tables.counting import Tables
from publisher.tables.wanted import Wanted


def countries(tables: Tables, it: Wanted, names: Names) -> Markup | None:
    """Draw what is wanted by country, each leading to its page; None where the outlines were not built."""
    counts = tables.counts(it.having("country")).get("country", {})
    return world.world(
        {code.zfill(3): things for code, things in counts.items()},
        lambda code: names.name("country", code),
        lambda code: names.page("country", code),
        _("World map: initiatives by country"),
    )


def beyond(counts: dict[str, int]) -> dict[str, int]:
    """Give the counts of areas that no outline shows, such as regions and continents."""
    drawn = world.drawn_codes()
    return {code: things for code, things in counts.items() if code.zfill(3) not in drawn}
