"""Define the tables and the meaning of each column; machine-readable descriptions are generated
from this.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class CellType(Enum):
    """The type of a cell; list items are separated by a space, which no IRI, code or tag contains."""

    TEXT = "text"
    IRI = "iri"
    NUMBER = "number"
    DECIMAL = "decimal"
    TIME = "time"  # xsd:dateTime in UTC
    IRIS = "iris"
    WORDS = "words"  # codes or language tags

    @property
    def is_list(self) -> bool:
        """Return whether a cell may have several values."""
        return self in (CellType.IRIS, CellType.WORDS)


class TableColumn(NamedTuple):
    """A column; *description* describes its values. A cell is empty if the value is unknown, unless
    the column is *required*.

    *unit* is that of a number, "" if it has none. *schemes* are the names of the concept schemes
    whose codes it has, *values* are all its values where it has few.
    """

    name: str
    kind: CellType
    description: str
    required: bool = False
    unit: str = ""
    schemes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def full_description(self) -> str:
        """Return the description with the unit and the code lists, as one text.

        >>> LINKS.columns[-1].full_description
        '0 to 1, of a suggestion; unit: share'
        """
        parts = [self.description, *([f"unit: {self.unit}"] if self.unit else [])]
        parts += [f"code lists: {', '.join(self.schemes)}"] if self.schemes else []
        return "; ".join(parts)


class Reference(NamedTuple):
    """The column *column* contains values of the column *target* of the table *table*."""

    column: str
    table: str
    target: str


class Table(NamedTuple):
    """A table; *row_description* describes a row; *key* are the columns that identify a row, empty
    if none do.

    *order* are the columns that its Parquet file is sorted by, then by all others: those that
    queries select rows by.
    """

    name: str
    row_description: str
    columns: tuple[TableColumn, ...]
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the columns whose texts look like numbers, such as ``404``, but are none, which
        readers need to know.
        """
        return tuple(
            column.name
            for column in self.columns
            if column.schemes or column.name in ("identifier", "code", "countries")
        )


_STATES = ("published", "vanished", "gone")
_KINDS = ("initiative", "event", "document", "post")
_BASES = ("declared", "crosswalked", "suggested")


def _thing(word: str = "thing") -> tuple[TableColumn, ...]:
    return (
        TableColumn(word, CellType.IRI, f"address of the {word}", required=True),
        TableColumn(
            "kind",
            CellType.TEXT,
            "initiative, event, document or post",
            required=True,
            values=_KINDS,
        ),
        TableColumn("source", CellType.TEXT, "name of the registry", required=True),
    )


_RECORD_REFERENCE = (Reference("thing", "records", "thing"),)

RECORDS = Table(
    "records",
    "a record of a registry, also one that is gone",
    (
        TableColumn(
            "record", CellType.IRI, "address of the record, which names its graph", required=True
        ),
        TableColumn("thing", CellType.IRI, "address of what it is about"),
        TableColumn("kind", CellType.TEXT, "initiative, event, document or post", values=_KINDS),
        TableColumn("source", CellType.TEXT, "name of the registry", required=True),
        TableColumn("identifier", CellType.TEXT, "the registry's own identifier"),
        TableColumn(
            "title", CellType.TEXT, "title: the English one, else one of no language, else any"
        ),
        TableColumn(
            "state", CellType.TEXT, "published, vanished or gone", required=True, values=_STATES
        ),
        TableColumn("first_seen", CellType.TIME, "when it was first met"),
        TableColumn("changed", CellType.TIME, "when what is said of it last changed here"),
        TableColumn("gone", CellType.TIME, "since when it is gone"),
        TableColumn("run", CellType.IRI, "the run that made it what it is"),
        TableColumn("mapping", CellType.TEXT, "by which mapping it was read"),
        TableColumn(
            "action_lines",
            CellType.WORDS,
            "codes of the action lines that its source declares",
            schemes=("action-line",),
        ),
        TableColumn(
            "action_lines_crosswalked",
            CellType.WORDS,
            "codes of the action lines that its source's own codes were mapped to",
            schemes=("action-line",),
        ),
        TableColumn(
            "statements",
            CellType.NUMBER,
            "how many statements its graph holds",
            required=True,
            unit="statement",
        ),
        TableColumn(
            "sha256", CellType.TEXT, "SHA-256 of its graph's sorted N-Triples", required=True
        ),
    ),
    ("record",),
    order=("record",),
)

# of every table with a row a thing: of a topic, of the search, and of the initiatives of a release
LISTED = (
    TableColumn("thing", CellType.IRI, "address of the thing", required=True),
    TableColumn(
        "kind",
        CellType.TEXT,
        "initiative, event, document, post or organization",
        required=True,
        values=(*_KINDS, "organization"),
    ),
    TableColumn("source", CellType.TEXT, "name of the registry", required=True),
    TableColumn(
        "cluster",
        CellType.IRI,
        "what counts once: its cluster, or the initiative that it is part of, else itself; count distinct values",
        required=True,
    ),
    TableColumn(
        "title", CellType.TEXT, "title: the English one, else one of no language, else any"
    ),
    TableColumn(
        "countries", CellType.WORDS, "M49 codes of its countries and areas", schemes=("area",)
    ),
    TableColumn(
        "country_name",
        CellType.TEXT,
        "English names of its countries and areas, separated by semicolons",
    ),
    TableColumn(
        "iso3",
        CellType.TEXT,
        "ISO 3166-1 alpha-3 codes of its countries, separated by semicolons",
    ),
    TableColumn(
        "itu_region",
        CellType.WORDS,
        "codes of the ITU regions of its countries",
        schemes=("itu-region",),
    ),
    TableColumn(
        "action_lines",
        CellType.WORDS,
        "codes of the action lines that its source declares",
        schemes=("action-line",),
    ),
    TableColumn(
        "goals", CellType.WORDS, "codes of the goals that its source declares", schemes=("sdg",)
    ),
    TableColumn("start_date", CellType.TEXT, "when it begins: a year, a month, a day or a time"),
    TableColumn("end_date", CellType.TEXT, "when it ends"),
    TableColumn("website", CellType.TEXT, "one of its pages on the web"),
    TableColumn("changed", CellType.TIME, "when what is said of it last changed here"),
)

INITIATIVES = Table(
    "initiatives",
    "an initiative that is published",
    (
        *LISTED,
        TableColumn("record", CellType.IRI, "address of its record", required=True),
        TableColumn("identifier", CellType.TEXT, "the registry's own identifier"),
        TableColumn(
            "state", CellType.TEXT, "published or vanished", required=True, values=_STATES[:2]
        ),
        TableColumn("title_language", CellType.TEXT, "tag of the title's language"),
        TableColumn("description", CellType.TEXT, "description, chosen as the title is"),
        TableColumn("description_language", CellType.TEXT, "tag of the description's language"),
        TableColumn(
            "text_languages",
            CellType.WORDS,
            "tags of the languages in which it has a title or a description",
        ),
        TableColumn(
            "languages",
            CellType.WORDS,
            "languages of the initiative itself, as stated by its source",
        ),
        TableColumn(
            "part_of", CellType.TEXT, "address or title of the initiative that it is part of"
        ),
        TableColumn("pages", CellType.IRIS, "its pages on the web"),
        TableColumn("licence", CellType.TEXT, "licence of its description"),
        TableColumn("start_year", CellType.NUMBER, "the year in which it begins", unit="year"),
        TableColumn("end_year", CellType.NUMBER, "the year in which it ends", unit="year"),
        TableColumn("coverage", CellType.TEXT, "code of its coverage", schemes=("coverage",)),
        TableColumn("status", CellType.TEXT, "code of its status", schemes=("status",)),
        TableColumn(
            "activity_types",
            CellType.WORDS,
            "codes of its types of activity",
            schemes=("activity-type",),
        ),
        TableColumn(
            "targets",
            CellType.WORDS,
            "codes of the targets that its source declares",
            schemes=("sdg",),
        ),
        TableColumn("leads", CellType.IRIS, "organizations that lead it"),
        TableColumn("partners", CellType.IRIS, "organizations that take part"),
        TableColumn("funders", CellType.IRIS, "organizations that pay"),
        TableColumn(
            "prizes",
            CellType.WORDS,
            "category-stage-year of its WSIS prizes",
            schemes=("prize-category", "prize-stage"),
        ),
        TableColumn("issued", CellType.TEXT, "when its source first gave it out"),
        TableColumn("modified", CellType.TEXT, "when its source last changed it"),
        TableColumn("first_seen", CellType.TIME, "when it was first met"),
    ),
    ("thing",),
    (Reference("record", "records", "record"),),
    ("thing",),
)

ORGANIZATIONS = Table(
    "organizations",
    "an organization, as one registry names it",
    (
        TableColumn("organization", CellType.IRI, "address of the organization", required=True),
        TableColumn("source", CellType.TEXT, "name of the registry", required=True),
        TableColumn(
            "name", CellType.TEXT, "name: the English one, else one of no language, else any"
        ),
        TableColumn("name_language", CellType.TEXT, "tag of the name's language"),
        TableColumn(
            "classification",
            CellType.TEXT,
            "code of its type of stakeholder",
            schemes=("stakeholder-type",),
        ),
        TableColumn("countries", CellType.WORDS, "M49 codes of its countries", schemes=("area",)),
        TableColumn("homepage", CellType.TEXT, "its page on the web"),
    ),
    ("organization",),
    order=("organization",),
)

PARTIES = Table(
    "parties",
    "an organization of a thing, with its role",
    (
        *_thing(),
        TableColumn("organization", CellType.IRI, "address of the organization", required=True),
        TableColumn(
            "role",
            CellType.TEXT,
            "lead, partner or funder",
            required=True,
            values=("lead", "partner", "funder"),
        ),
    ),
    ("thing", "organization", "role"),
    (*_RECORD_REFERENCE, Reference("organization", "organizations", "organization")),
    ("organization", "role", "thing"),
)

LINKS = Table(
    "links",
    "the link of a thing to an action line, a goal or a target",
    (
        *_thing(),
        TableColumn(
            "scheme",
            CellType.TEXT,
            "action-line, goal or target",
            required=True,
            values=("action-line", "goal", "target"),
        ),
        TableColumn(
            "concept",
            CellType.TEXT,
            "address of the action line, goal or target, or the source's word where none is known",
            required=True,
        ),
        TableColumn(
            "code",
            CellType.TEXT,
            "its code, such as C7-ehea, 4 or 4.4",
            schemes=("action-line", "sdg"),
        ),
        TableColumn(
            "basis",
            CellType.TEXT,
            "how the link came to be: declared, crosswalked or suggested",
            required=True,
            values=_BASES,
        ),
        TableColumn(
            "word", CellType.TEXT, "what the source wrote, of a link that was not declared"
        ),
        TableColumn("confidence", CellType.DECIMAL, "0 to 1, of a suggestion", unit="share"),
    ),
    ("thing", "scheme", "concept", "basis"),
    _RECORD_REFERENCE,
    ("scheme", "code", "basis", "thing"),
)

PLACES = Table(
    "places",
    "a country, an area or a point where a thing takes place",
    (
        *_thing(),
        TableColumn("area", CellType.IRI, "address of the country or area, empty of a point"),
        TableColumn("code", CellType.TEXT, "M49 code of the country or area", schemes=("area",)),
        TableColumn(
            "name",
            CellType.TEXT,
            "name of the point, or the source's word for an area that is not known",
        ),
        TableColumn("latitude", CellType.DECIMAL, "degrees, WGS 84, of a point", unit="degree"),
        TableColumn("longitude", CellType.DECIMAL, "degrees, WGS 84, of a point", unit="degree"),
    ),
    (),
    _RECORD_REFERENCE,
    ("code", "thing"),
)

MERGED = Table(
    "merged",
    "an initiative, organization or document that is one thing with others: those of one cluster are one",
    (
        TableColumn(
            "thing",
            CellType.IRI,
            "address of the initiative, organization or document",
            required=True,
        ),
        TableColumn("kind", CellType.TEXT, "initiative, organization or document", required=True),
        TableColumn("source", CellType.TEXT, "name of the registry", required=True),
        TableColumn(
            "cluster", CellType.IRI, "address of the cluster, whose page says why", required=True
        ),
    ),
    ("thing",),
    order=("cluster",),
)

TABLES = {
    table.name: table
    for table in (INITIATIVES, ORGANIZATIONS, PARTIES, LINKS, PLACES, RECORDS, MERGED)
}
