"""About: the figures of one concept, organization or registry: panels, a map, its partners and how links came to be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup

from publisher.figures.network import MOST, network
from publisher.figures.world import spots
from publisher.languages.catalogue import translated as _
from publisher.portal.atlas import countries
from publisher.portal.names import Names, basis_title
from publisher.portal.panels import Panel, panels, query_address
from publisher.tables import wanted as asking
from publisher.tables.counting import Tables
from publisher.tables.facets import FACETS
from publisher.tables.wanted import Wanted
from vocab.initiative import Basis

FIGURES = ("line", "goal", "target", "country", "region", "year", "stakeholder", "status", "type", "coverage", "source")
PAIRS = 200  # pairs of organizations that are looked at for the drawing


@dataclass(frozen=True, slots=True)
class About:
    """The figures of a page. *bases* tells how many initiatives each way of linking gives; *search* leads to the list."""

    total: int
    bases: tuple[tuple[str, int], ...]
    panels: tuple[Panel, ...]
    map: Markup | None
    network: Markup | None
    organizations: tuple[tuple[str, str, int], ...]
    search: str
    query: str
    partners: str


def about(tables: Tables, it: Wanted, names: Names, search: str, but: Iterable[str] = ()) -> About:
    """Draw the figures of what is wanted; *but* are the facets that say nothing here."""
    it, shown = it.having("kind", "initiative"), [name for name in FIGURES if name not in but]
    chosen = [(facet, codes) for facet, codes in it.chosen if FACETS[facet].tie]
    bases = tuple((basis_title(basis.value), tables.total(replace(it, bases=(basis,)))) for basis in Basis) if chosen else ()
    pairs, who = tables.partners(it, PAIRS), tables.organizations(it, 10)
    met = tuple(sorted({name for pair in pairs for name in pair[:2]}))
    known = tables.names(met) if met else {}
    place = next((codes[0] for facet, codes in it.chosen if facet == "country"), None)
    return About(
        total=tables.total(it),
        bases=bases,
        panels=tuple(panels(tables, it, shown, names)),
        map=spots([], frozenset({place}), names.name("country", place)) if place else countries(tables, it, names),
        network=drawn(pairs, known, names, it.party),
        organizations=tuple((one, name or one.rpartition("/")[2], things) for one, name, things in who if one != it.party),
        search=search,
        query=query_address(asking.listing(it, names.iris)),
        partners=query_address(asking.partners(it, names.iris)),
    )


def drawn(pairs: list[tuple[str, str, int]], known: dict[str, str], names: Names, own: str = "") -> Markup | None:
    """Draw who works with whom."""
    stem = f"{names.iris.base}id/"
    href = {who: "/page/" + who.removeprefix(stem) for pair in pairs for who in pair[:2] if who.startswith(stem)}
    return network(pairs, known, href, _("Organizations that work together; at most") + f" {MOST}", own)
