"""Crosswalks: from a registry's own words to ours, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vocab.countries import area, country
from vocab.goals import goal, target
from vocab.iris import Iris
from vocab.lines import line
from vocab.names import Names, labelled
from vocab.normal import LONGEST, fold
from vocab.schemes import concepts, schemes

__all__ = ["Crosswalks", "area", "country", "goal", "target"]

# The schemes with names that are too many and too long to be anyone's word for ours.
OURS = frozenset(("sdg", "area"))


@lru_cache(maxsize=64)
def _names(scheme: str, base: str) -> Names:
    """Build a scheme's table: its own names and codes, and the names of foreign concepts that match one of its own."""
    own = concepts(scheme, base)
    foreign = (it for name in schemes(base) if name not in OURS for it in concepts(name, base).values())
    return Names(
        [
            *labelled(own.values()),
            *((code, it.iri) for it in own.values() for code in it.notations),
            *((name.value, match) for it in foreign for match in it.matches if match in own for name in it.labels),
        ]
    )


@lru_cache(maxsize=64)
def _matches(scheme: str, base: str) -> dict[str, str]:
    """Give, for each code of a foreign scheme, the one concept of ours that it matches."""
    return {code: c.matches[0] for c in concepts(scheme, base).values() for code in c.notations if len(c.matches) == 1}


@lru_cache(maxsize=4)
def _purposes(base: str) -> dict[str, tuple[str, ...]]:
    return {code: it.matches for it in concepts("dac-purpose", base).values() for code in it.notations}


@dataclass(frozen=True, slots=True)
class Crosswalks:
    """The look-ups under one base. Each gives an IRI, or None for what no crosswalk knows; nothing is guessed.

    >>> walk = Crosswalks(Iris("https://example.org/"))
    >>> walk.action_line("C7. E-Health"), walk.status("finished"), walk.iati_activity_scope("1")[-13:]
    ('https://example.org/scheme/action-line/C7-ehea', 'https://example.org/scheme/status/completed', 'international')
    """

    iris: Iris

    def goal(self, text: str | int) -> str | None:
        """Find a Sustainable Development Goal; see ``vocab.goals.goal``."""
        return goal(text)

    def target(self, text: str | int) -> str | None:
        """Find a target; see ``vocab.goals.target``."""
        return target(text)

    def country(self, text: str | int) -> str | None:
        """Find a country; see ``vocab.countries.country``."""
        return country(text)

    def area(self, text: str | int) -> str | None:
        """Find a country or a region of M49; see ``vocab.countries.area``."""
        return area(text)

    def action_line(self, text: str) -> str | None:
        """Find an action line; see ``vocab.lines.line``."""
        code = line(text)
        return self.iris.concept("action-line", code) if code else None

    def prize_category(self, text: str) -> str | None:
        """Find one of the eighteen WSIS Prize categories, which are named by their action lines; C7 alone is none."""
        code = line(text)
        return self.iris.concept("prize-category", code) if code and code != "C7" else None

    def stakeholder_type(self, text: str) -> str | None:
        """Find a stakeholder type by its name."""
        return self.named("stakeholder-type", text)

    def coverage(self, text: str) -> str | None:
        """Find a coverage by its name."""
        return self.named("coverage", text)

    def status(self, text: str) -> str | None:
        """Find a status by its name."""
        return self.named("status", text)

    def activity_type(self, text: str) -> str | None:
        """Find an activity type by its name."""
        return self.named("activity-type", text)

    def prize_stage(self, text: str) -> str | None:
        """Find a WSIS Prize stage by its name."""
        return self.named("prize-stage", text)

    def iati_organisation_type(self, code: str) -> str | None:
        """Find the stakeholder type that an IATI organisation type matches."""
        return self.matched("iati-organisation-type", code)

    def iati_activity_scope(self, code: str) -> str | None:
        """Find the coverage that an IATI activity scope matches."""
        return self.matched("iati-activity-scope", code)

    def iati_activity_status(self, code: str) -> str | None:
        """Find the status that an IATI activity status matches."""
        return self.matched("iati-activity-status", code)

    def iati_region(self, code: str) -> str | None:
        """Find the area of M49 that a region of the OECD's Development Assistance Committee matches."""
        return self.matched("iati-region", code)

    def dac_purpose(self, code: str) -> tuple[str, ...]:
        """Find the goals and action lines that a purpose code of three or five digits serves; none where no crosswalk knows it.

        >>> Crosswalks(Iris("https://example.org/")).dac_purpose("11220")
        ('http://metadata.un.org/sdg/4',)
        """
        known = _purposes(self.iris.base)
        return known.get(code.strip()) or (known.get(code.strip()[:3], ()) if len(code.strip()) == 5 else ())

    def named(self, scheme: str, text: str) -> str | None:
        """Find the concept of a scheme of ours that *text* names or that has it as its code."""
        return _names(scheme, self.iris.base).find(fold(text)) if len(text) <= LONGEST else None

    def matched(self, scheme: str, code: str) -> str | None:
        """Find the concept of ours that *code* of the foreign *scheme* (a file of ``data/crosswalks``) matches."""
        return _matches(scheme, self.iris.base).get(code.strip())
