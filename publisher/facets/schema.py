"""Columns: the tables and what stands in each of their columns; their descriptions for machines are made from this."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a cell holds; lists are parted by a space, for no IRI, code or tag has one."""

    TEXT = "text"
    IRI = "iri"
    NUMBER = "number"
    DECIMAL = "decimal"
    TIME = "time"  # xsd:dateTime in UTC
    IRIS = "iris"
    WORDS = "words"  # codes or language tags

    @property
    def is_list(self) -> bool:
        """Return whether a cell may hold several values."""
        return self in (Kind.IRIS, Kind.WORDS)


class Column(NamedTuple):
    """A column: *says* tells what stands in it; empty where it is not known, unless it is *needed*."""

    name: str
    kind: Kind
    description: str
    required: bool = False


class Reference(NamedTuple):
    """The column *column* holds values of the column *of* in the table *table*."""

    column: str
    table: str
    target: str


class Table(NamedTuple):
    """A table: *one* tells what a row is; *key* are the columns that name a row, none where rows have no name."""

    name: str
    row_description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()


def _thing(word: str = "thing") -> tuple[Column, ...]:
    return (
        Column(word, Kind.IRI, f"address of the {word}", required=True),
        Column("kind", Kind.TEXT, "initiative, event, document or post", required=True),
        Column("source", Kind.TEXT, "name of the registry", required=True),
    )


_RECORD_REFERENCE = (Reference("thing", "records", "thing"),)

RECORDS = Table(
    "records",
    "a record of a registry, also one that is gone",
    (
        Column("record", Kind.IRI, "address of the record, which names its graph", required=True),
        Column("thing", Kind.IRI, "address of what it is about"),
        Column("kind", Kind.TEXT, "initiative, event, document or post"),
        Column("source", Kind.TEXT, "name of the registry", required=True),
        Column("identifier", Kind.TEXT, "the registry's own identifier"),
        Column("title", Kind.TEXT, "title: the English one, else one of no language, else any"),
        Column("state", Kind.TEXT, "published, vanished or gone", required=True),
        Column("first_seen", Kind.TIME, "when it was first met"),
        Column("changed", Kind.TIME, "when what is said of it last changed here"),
        Column("gone", Kind.TIME, "since when it is gone"),
        Column("run", Kind.IRI, "the run that made it what it is"),
        Column("mapping", Kind.TEXT, "by which mapping it was read"),
        Column("action_lines", Kind.WORDS, "codes of the action lines that its source declares"),
        Column("action_lines_crosswalked", Kind.WORDS, "codes of the action lines that its source's own codes were translated to"),
        Column("statements", Kind.NUMBER, "how many statements its graph holds", required=True),
        Column("sha256", Kind.TEXT, "SHA-256 of its graph's sorted N-Triples", required=True),
    ),
    ("record",),
)

INITIATIVES = Table(
    "initiatives",
    "an initiative that is published",
    (
        Column("initiative", Kind.IRI, "address of the initiative", required=True),
        Column("record", Kind.IRI, "address of its record", required=True),
        Column("source", Kind.TEXT, "name of the registry", required=True),
        Column("identifier", Kind.TEXT, "the registry's own identifier"),
        Column("state", Kind.TEXT, "published or vanished", required=True),
        Column("title", Kind.TEXT, "title: the English one, else one of no language, else any"),
        Column("title_language", Kind.TEXT, "tag of the title's language"),
        Column("description", Kind.TEXT, "description, chosen as the title is"),
        Column("description_language", Kind.TEXT, "tag of the description's language"),
        Column("text_languages", Kind.WORDS, "tags of the languages in which it has a title or a description"),
        Column("languages", Kind.WORDS, "languages of the initiative itself, as its source tells them"),
        Column("pages", Kind.IRIS, "its pages on the web"),
        Column("licence", Kind.TEXT, "licence of its description"),
        Column("start_date", Kind.TEXT, "when it begins: a year, a month, a day or a time"),
        Column("end_date", Kind.TEXT, "when it ends"),
        Column("start_year", Kind.NUMBER, "the year in which it begins"),
        Column("end_year", Kind.NUMBER, "the year in which it ends"),
        Column("coverage", Kind.TEXT, "code of its coverage"),
        Column("status", Kind.TEXT, "code of its status"),
        Column("activity_types", Kind.WORDS, "codes of its types of activity"),
        Column("countries", Kind.WORDS, "M49 codes of its countries and areas"),
        Column("action_lines", Kind.WORDS, "codes of the action lines that its source declares"),
        Column("goals", Kind.WORDS, "codes of the goals that its source declares"),
        Column("targets", Kind.WORDS, "codes of the targets that its source declares"),
        Column("leads", Kind.IRIS, "organizations that lead it"),
        Column("partners", Kind.IRIS, "organizations that take part"),
        Column("funders", Kind.IRIS, "organizations that pay"),
        Column("prizes", Kind.WORDS, "category-stage-year of its WSIS prizes"),
        Column("issued", Kind.TEXT, "when its source first gave it out"),
        Column("modified", Kind.TEXT, "when its source last changed it"),
        Column("first_seen", Kind.TIME, "when it was first met"),
        Column("changed", Kind.TIME, "when what is said of it last changed here"),
    ),
    ("initiative",),
    (Reference("record", "records", "record"),),
)

ORGANIZATIONS = Table(
    "organizations",
    "an organization, as one registry names it",
    (
        Column("organization", Kind.IRI, "address of the organization", required=True),
        Column("source", Kind.TEXT, "name of the registry", required=True),
        Column("name", Kind.TEXT, "name: the English one, else one of no language, else any"),
        Column("name_language", Kind.TEXT, "tag of the name's language"),
        Column("classification", Kind.TEXT, "code of its type of stakeholder"),
        Column("countries", Kind.WORDS, "M49 codes of its countries"),
        Column("homepage", Kind.TEXT, "its page on the web"),
    ),
    ("organization",),
)

PARTIES = Table(
    "parties",
    "the part of an organization in a thing",
    (
        *_thing(),
        Column("organization", Kind.IRI, "address of the organization", required=True),
        Column("role", Kind.TEXT, "lead, partner or funder", required=True),
    ),
    ("thing", "organization", "role"),
    (*_RECORD_REFERENCE, Reference("organization", "organizations", "organization")),
)

LINKS = Table(
    "links",
    "the link of a thing to an action line, a goal or a target",
    (
        *_thing(),
        Column("scheme", Kind.TEXT, "action-line, goal or target", required=True),
        Column("concept", Kind.TEXT, "address of the action line, goal or target, or the source's word where none is known", required=True),
        Column("code", Kind.TEXT, "its code, such as C7-ehea, 4 or 4.4"),
        Column("basis", Kind.TEXT, "how the link came to be: declared, crosswalked or suggested", required=True),
        Column("word", Kind.TEXT, "what the source wrote, of a link that was not declared"),
        Column("confidence", Kind.DECIMAL, "0 to 1, of a suggestion"),
    ),
    ("thing", "scheme", "concept", "basis"),
    _RECORD_REFERENCE,
)

PLACES = Table(
    "places",
    "a country, an area or a point where a thing takes place",
    (
        *_thing(),
        Column("area", Kind.IRI, "address of the country or area, empty of a point"),
        Column("code", Kind.TEXT, "M49 code of the country or area"),
        Column("name", Kind.TEXT, "name of the point, or the source's word for an area that is not known"),
        Column("latitude", Kind.DECIMAL, "degrees, WGS 84, of a point"),
        Column("longitude", Kind.DECIMAL, "degrees, WGS 84, of a point"),
    ),
    (),
    _RECORD_REFERENCE,
)

TABLES = {table.name: table for table in (INITIATIVES, ORGANIZATIONS, PARTIES, LINKS, PLACES, RECORDS)}
