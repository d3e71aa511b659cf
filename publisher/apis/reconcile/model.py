"""The types of entities that names are matched to, and the properties that refine a match and
extend a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from languages.request_locale import LANGUAGES, current_locale
from languages.term_titles import term_title
from languages.translations import gettext as _
from publisher.data.properties import PropertyRow, PropertyTable, published_properties
from vocab.countries import country

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

    *predicate* is a prefixed name, "" where the value is not a statement of the store. *value_type*
    is the type of the entities that are its values, if they are entities.
    *compared* says with what a query's value is compared: ``links``, ``parties`` or ``source`` of
    an indexed thing, ``codes`` of a concept; "" if a query cannot be refined by it.
    """

    name: str
    types: tuple[str, ...]
    predicate: str = ""
    value_type: str | None = None
    compared: str = ""
    title: str = ""  # in English; "": that of the *term* of the ontology
    term: str = ""


def read_properties(table: PropertyTable) -> dict[str, Property]:
    """Return all properties: those of any entity, those of *table*, and those of concepts."""
    items = [
        Property("name", TYPES, title="Name"),
        Property(
            "initiatives",
            tuple(name for name in TYPES if name != "initiative"),
            title="Initiatives",
        ),
        *(_of_row(row) for row in table if row.reconcile),
        Property("source", THING_TYPES, compared="source", title="Registry"),
        Property("code", CONCEPT_TYPES, compared="codes", title="Code"),
        Property("iso2", ("country",), compared="codes", title="ISO 3166-1 alpha-2"),
        Property("iso3", ("country",), compared="codes", title="ISO 3166-1 alpha-3"),
    ]
    return {item.name: item for item in items}


def _of_row(row: PropertyRow) -> Property:
    described: dict[str, Any] = {**row.reconcile}
    return Property(**described, predicate=row.iri, title=row.label, term=row.name)


PROPERTIES = read_properties(published_properties())


def property_title(name: str) -> str:
    """Return the name of a property in the language of the request."""
    item = PROPERTIES[name]
    return _(item.title) if item.title else term_title(item.term)
