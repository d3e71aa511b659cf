"""Findings in sentences, generated from the counts of a page."""

from __future__ import annotations

from collections.abc import Mapping

from languages.translations import format_number, isolate, ngettext
from languages.translations import gettext as _
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.matrix import Matrix
from publisher.projections.facets.queries import DifferentCounts
from publisher.projections.facets.thing_count import ThingCount


def overview(counts: DifferentCounts, names: FacetLabels, initiatives: int) -> str:
    """Return a sentence on *initiatives* by country, goal, action line and region; facets without
    *counts* are left out.
    """
    if not initiatives:
        return ""
    return sentence(
        _("; ").join(text for _facet, text in facet_findings(counts, names, initiatives))
    )


def count_note(different: ThingCount) -> str:
    """Return a sentence on the number of initiatives by record beside that by cluster; "" where
    both are the same.
    """
    if not different.has_copies:
        return ""
    text = _(
        "%(records)s records of initiatives describe %(count)s different ones, as far as known: records of several registries that "
        "are one initiative are counted once, as are the parts of an initiative."
    )
    return text % {"records": format_number(different.records), "count": format_number(different)}


def sentence(text: str) -> str:
    """Return *text* with the full stop of the language of the request."""
    return _("{text}.").format(text=text)


def facet_findings(
    counts: DifferentCounts, names: FacetLabels, initiatives: int
) -> list[tuple[str, str]]:
    """Return the parts of the sentence, each with the facet that it counts; the first counts
    countries.
    """
    countries = len(counts.get("country", {}))
    first = ngettext("{number} initiative", "{number} initiatives", initiatives).format(
        number=format_number(initiatives)
    )
    if countries:
        where = ngettext(
            "{number} country or area", "{number} countries and areas", countries
        ).format(number=format_number(countries))
        first = _("{initiatives} in {countries}").format(initiatives=first, countries=where)
    findings = [("country", first)]
    for facet, text in (
        ("goal", _("most common SDG: {name} ({count})")),
        ("line", _("most common action line: {name} ({count})")),
        ("region", _("most active region: {name} ({count})")),
    ):
        if largest := _largest(counts.get(facet, {})):
            name = isolate(names.short(facet, largest[0]))
            findings.append((facet, text.format(name=name, count=format_number(largest[1]))))
    return findings


def map_title(counts: Mapping[str, ThingCount], names: FacetLabels, initiatives: int) -> str:
    """Return the finding of a map as a title: *initiatives* that have a country, and how many
    countries; "" without any.
    """
    return facet_findings({"country": counts}, names, initiatives)[0][1] if counts else ""


def matrix_title(matrix: Matrix) -> str:
    """Return the finding of a matrix as a title; "" if no pair has initiatives."""
    if not any(matrix.counts.values()):
        return ""
    text = _("{borne} of {links} official links have at least one initiative")
    return text.format(links=format_number(len(matrix.links)), borne=format_number(matrix.linked))


def matrix_finding(matrix: Matrix) -> str:
    """Return a sentence on the official links that have initiatives, and on the pairs beyond them."""
    supported = _(
        "{borne} of the {links} links in the official WSIS–SDG Matrix have at least one initiative."
    )
    more = ngettext(
        "A further {beyond} pair has initiatives but no official link.",
        "A further {beyond} pairs have initiatives but no official link.",
        matrix.unlinked,
    )
    counts = {"links": len(matrix.links), "borne": matrix.linked, "beyond": matrix.unlinked}
    texts = _("{first} {second}").format(first=supported, second=more)
    return texts.format(**{name: format_number(count) for name, count in counts.items()})


def _largest(counts: Mapping[str, ThingCount]) -> tuple[str, ThingCount] | None:
    return max(counts.items(), key=lambda pair: (pair[1], pair[0]), default=None)
