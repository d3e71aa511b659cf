"""Define the scope of a report: its release, its language, and the filter that narrows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from languages.request_locale import LANGUAGES
from publisher.errors import ReportError
from publisher.portal.facet_labels import FacetLabels
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from vocab.countries import AREA, country

# facets by which a report can be narrowed
NARROWING = ("year", "region", "line", "goal", "country")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report covers: a release, in *language*; *chosen* are facets of NARROWING with a code
    each.
    """

    release: int
    language: str = "en"
    chosen: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Return the name of its folder.

        >>> Scope(3, "fr", (("goal", "4"),)).name
        'release-3.goal-4.fr'
        """
        return ".".join(
            [
                f"release-{self.release}",
                *(f"{facet}-{code}" for facet, code in self.chosen),
                self.language,
            ]
        )

    @property
    def filter(self) -> Filter:
        """Return the filter of the initiatives that it covers."""
        return filter_query.make_filter(kind="initiative", **dict(self.chosen))


def parse_scope(
    release: int, language: str, chosen: Mapping[str, str], names: FacetLabels
) -> Scope:
    """Return the scope of a report; raises ReportError with a remedy for an unknown code."""
    if language not in LANGUAGES:
        raise ReportError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    chosen = {facet: _code(facet, code) for facet, code in chosen.items()}
    for facet, code in chosen.items():
        known = (
            code.isdigit() and len(code) == 4
            if facet == "year"
            else names.name(facet, code) != code
        )
        if not known:
            raise ReportError(
                f"{_OPTION.get(facet, facet)} {code!r} is not known; give {_HINT[facet]}"
            )
    return Scope(release, language, tuple(sorted(chosen.items())))


def _code(facet: str, text: str) -> str:
    """Return the code of a country from any of its names or codes; other texts unchanged."""
    area = country(text) if facet == "country" else None
    return area.removeprefix(AREA) if area else text


_OPTION = {"line": "action line"}  # names of facets on the command line, where they differ
_HINT = {
    "year": "a year of four digits",
    "region": "a code of /scheme/itu-region, such as africa",
    "line": "a code of /scheme/action-line, such as C7-ehea",
    "goal": "a number from 1 to 17",
    "country": "its M49 code, its ISO code or its name, such as 404, KE or Kenya",
}
