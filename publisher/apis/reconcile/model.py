"""The types of entities that names are matched to, and the properties that refine a match and
extend a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from languages.request_locale import LANGUAGES, current_locale
from languages.term_titles import term_title
from languages.translations import gettext as _
from vocab.countries import country
from vocab.terms import DCT, FOAF, ORG, SCHEMA

CONCEPT_TYPES = ("country", "goal", "target", "action-line")
THING_TYPES = ("organization", "initiative")
TYPES = (*THING_TYPES, *CONCEPT_TYPES)


def type_title(name: str) -> str:
    """Return the name of a type in the language of the request."""
    return _type_titles(current_locale().language)[name]


@lru_cache(len(LANGUAGES))
def _type_titles(_language: str) -> dict[str, str]:
    """Return the names of the types in the language of the request, which is *_language*."""
    return {
        "organization": _("Organization"),
        "initiative": term_title("Initiative"),
        "country": _("Country"),
        "goal": _("SDG"),
        "target": term_title("target"),
        "action-line": term_title("actionLine"),
    }


def concept_type(iri: str, scheme: str) -> str | None:
    """Return the type of a concept of *scheme*; None for a concept that names are not matched to,
    such as a continent.

    >>> concept_type("http://metadata.un.org/sdg/4.4", "sdg"), concept_type("http://metadata.un.org/sdg/codes/geoArea/002", "area")
    ('target', None)
    """
    if scheme == "sdg":
        return "target" if "." in iri.rpartition("/")[2] else "goal"
    if scheme == "area":
        return "country" if country(iri) == iri else None
    return "action-line" if scheme == "action-line" else None


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the entities of *types*.

    *predicate* is an IRI, or a name in our namespace; "" where the value is not a statement of the
    store. *value_type* is the type of the entities that are its values, if they are entities.
    *compared* says with what a query's value is compared: ``links``, ``parties`` or ``source`` of
    an indexed thing, ``codes`` of a concept; "" if a query cannot be refined by it.
    """

    name: str
    types: tuple[str, ...]
    predicate: str = ""
    value_type: str | None = None
    compared: str = ""


PROPERTIES = {
    item.name: item
    for item in (
        Property("name", TYPES),
        Property("initiatives", tuple(name for name in TYPES if name != "initiative")),
        Property("country", THING_TYPES, f"{DCT}spatial", "country", "links"),
        Property("stakeholder-type", ("organization",), f"{ORG}classification", None, "links"),
        Property("homepage", ("organization",), f"{FOAF}homepage"),
        Property("description", ("initiative",), f"{DCT}description"),
        Property("page", ("initiative",), f"{FOAF}page"),
        Property("goal", ("initiative",), "goal", "goal", "links"),
        Property("target", ("initiative",), "target", "target", "links"),
        Property("action-line", ("initiative",), "actionLine", "action-line", "links"),
        Property("lead", ("initiative",), f"{DCT}publisher", "organization", "parties"),
        Property("partner", ("initiative",), "partner", "organization", "parties"),
        Property("funder", ("initiative",), f"{SCHEMA}funder", "organization", "parties"),
        Property("start", ("initiative",), f"{SCHEMA}startDate"),
        Property("end", ("initiative",), f"{SCHEMA}endDate"),
        Property("source", THING_TYPES, "", None, "source"),
        Property("code", CONCEPT_TYPES, "", None, "codes"),
        Property("iso2", ("country",), "", None, "codes"),
        Property("iso3", ("country",), "", None, "codes"),
    )
}


def property_title(name: str) -> str:
    """Return the name of a property in the language of the request."""
    return {
        "name": _("Name"),
        "initiatives": _("Initiatives"),
        "country": _("Country"),
        "stakeholder-type": _("Stakeholder type"),
        "homepage": _("Web"),
        "description": _("Description"),
        "page": _("Page"),
        "goal": _("SDG"),
        "target": term_title("target"),
        "action-line": term_title("actionLine"),
        "lead": _("Lead"),
        "partner": term_title("partner"),
        "funder": _("Funder"),
        "start": _("Start"),
        "end": _("End"),
        "source": _("Registry"),
        "code": _("Code"),
        "iso2": "ISO 3166-1 alpha-2",
        "iso3": "ISO 3166-1 alpha-3",
    }[name]
