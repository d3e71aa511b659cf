"""Read and write what curators decided about one registry: the concepts of its words, and the
suggested topics of its records.

The table of words is tab-separated SSSOM (https://mapping-commons.github.io/sssom/spec-model/) whose
subjects are literals. The table of topics has the columns record, concept, decision, author, day
and comment, and for a suggestion that was computed elsewhere confidence, method and version.
Concepts are ``sdg:4``, ``sdg:4.4``, ``area:404``, ``action-line:C7-ehea`` and others of this form,
so that the tables do not depend on the base of our IRIs.

The tables are part of their source. A change of one changes the digest of the rules, so that the
next full harvest or remap applies it with a plan.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import date
from typing import Any, TypeVar

from vocab.iris import BASE
from vocab.lookup import AREA, MAX_LENGTH, SDG, fold
from vocab.schemes import concepts, label

Item = TypeVar("Item")

_MAX_FIELD = 1 << 16  # Characters of a cell.


@dataclass(frozen=True, slots=True)
class RowFault:
    """The fault of a row; *line* is counted from 1, and 0 if the row does not come from a table.

    *code* is the message, an English text of the catalogues, and *values* are those of its fields.
    """

    code: str
    values: Mapping[str, str | int] = field(default_factory=dict)
    line: int = 0


def read_table(
    text: str,
    columns: Sequence[str],
    needed: Collection[str],
    build: Callable[[dict[str, str]], Item],
    fault_of: Callable[[Item], RowFault | None],
    key: Callable[[Item], Any],
    repeated: Callable[[Item], RowFault],
) -> tuple[list[Item], list[RowFault]]:
    """Return what *build* makes of the values of *columns* of each row of a table, "" for a missing
    one, each *key* once; and a fault with its line for each row that cannot be used, for a missing
    column of *needed*, and for a line that is not CSV, after which nothing is read.
    """
    items: dict[Any, Item] = {}
    faults: list[RowFault] = []
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=csv.excel_tab)
    try:
        if missing := set(needed) - set(reader.fieldnames or ()):
            values = {"missing": ", ".join(sorted(missing)), "columns": ", ".join(columns)}
            message = "no column %(missing)s; the columns are %(columns)s, separated by tabs"
            return [], [RowFault(message, values, 1)]
        for row in reader:
            item = build({name: (row.get(name) or "").strip() for name in columns})
            if fault := fault_of(item) or (repeated(item) if key(item) in items else None):
                faults.append(replace(fault, line=reader.line_num))
            else:
                items[key(item)] = item
    except csv.Error as error:
        faults.append(RowFault("other", {"text": str(error)}, reader.line_num))
    return list(items.values()), faults


def write_table(
    columns: Sequence[str],
    rows: Iterable[Iterable[str]],
    dialect: type[csv.Dialect] = csv.excel_tab,
) -> str:
    output = io.StringIO()
    csv.writer(output, dialect=dialect, lineterminator="\n").writerows([columns, *rows])
    return output.getvalue()


def date_fault(day: str) -> RowFault | None:
    """Return the fault of a text that is neither empty nor a date as in ISO 8601, else None."""
    try:
        date.fromisoformat(day or "2000-01-01")
    except ValueError:
        return RowFault(
            "%(value)s is not a date; write it as 2026-01-31", {"value": repr(day[:80])}
        )
    return None


WORD_COLUMNS = (
    *(
        "subject_label",
        "subject_type",
        "predicate_id",
        "object_id",
        "object_label",
        "mapping_justification",
    ),
    *("author_label", "mapping_date", "comment"),
)
# The kinds of our own concepts; those of the United Nations are goal, target and country.
OWN_SCHEMES = ("action-line", "status", "coverage", "activity-type", "stakeholder-type")
# SSSOM's mark of a word for which a curator found none of our concepts.
NO_CONCEPT = "sssom:NoTermFound"
_LITERAL = "rdfs literal"
_PREDICATE = "skos:closeMatch"
_JUSTIFICATION = "semapv:ManualMappingCuration"
# The columns of a CuratedWord's fields.
_STORED = ("subject_label", "object_id", "author_label", "mapping_date", "comment")


@dataclass(frozen=True, slots=True)
class CuratedWord:
    """A word and the concept, or NO_CONCEPT, that *author* chose for it on *day* (ISO 8601), with
    an optional *comment*.
    """

    word: str
    concept: str
    author: str = ""
    day: str = ""
    comment: str = ""


def resolve_concept(name: str, base: str = BASE) -> tuple[str, str] | None:
    """Return the kind and the IRI of a concept by its short name; None if there is none.

    >>> resolve_concept("sdg:4.4"), resolve_concept("action-line:C7-ehea", "https://x.org/"), resolve_concept("sdg:99")
    (('target', 'http://metadata.un.org/sdg/4.4'), ('action-line', 'https://x.org/scheme/action-line/C7-ehea'), None)
    """
    scheme, _, code = name.partition(":")
    if scheme == "sdg":
        kind = "goal" if code.isdecimal() else "target" if code.count(".") == 1 else ""
        return (kind, SDG + code) if kind and SDG + code in concepts("sdg", base) else None
    if scheme == "area":
        return ("country", AREA + code) if AREA + code in concepts("area", base) else None
    iri = f"{base}scheme/{scheme}/{code}"
    return (scheme, iri) if scheme in OWN_SCHEMES and iri in concepts(scheme, base) else None


def short_name(iri: str, base: str = BASE) -> str:
    """Return the short name of a concept's IRI; other texts unchanged.

    >>> short_name("http://metadata.un.org/sdg/codes/geoArea/404"), short_name("http://metadata.un.org/sdg/4"), short_name("sdg:4")
    ('area:404', 'sdg:4', 'sdg:4')
    """
    if iri.startswith(AREA):
        return f"area:{iri.removeprefix(AREA)}"
    if iri.startswith(SDG):
        return f"sdg:{iri.removeprefix(SDG)}"
    return (
        iri.removeprefix(f"{base}scheme/").replace("/", ":", 1)
        if iri.startswith(f"{base}scheme/")
        else iri
    )


def concept_name(concept: str, language: str, base: str = BASE) -> str:
    """Return the label of a concept, named by its IRI or short name; *concept* itself if there is
    none.

    >>> concept_name("area:404", "fr"), concept_name("http://metadata.un.org/sdg/codes/geoArea/404", "en"), concept_name("area:0", "en")
    ('Kenya', 'Kenya', 'area:0')
    """
    resolved = resolve_concept(short_name(concept, base), base)
    return (label(resolved[1], language, base) if resolved else None) or concept


def write_words(words: Iterable[CuratedWord]) -> str:
    """Return the table, in the order of the words."""

    def row(item: CuratedWord) -> tuple[str, ...]:
        resolved = resolve_concept(item.concept)
        name = label(resolved[1], "en") or "" if resolved else ""
        about = (item.word, _LITERAL, _PREDICATE, item.concept, name, _JUSTIFICATION)
        return (*about, item.author, item.day, item.comment)

    ordered = sorted(words, key=lambda item: (fold(item.word), item.word))
    return write_table(WORD_COLUMNS, map(row, ordered))


def read_words(text: str) -> tuple[list[CuratedWord], list[RowFault]]:
    """Return the words of a table, and a fault with its line for each row that cannot be used."""
    return read_table(
        text,
        WORD_COLUMNS,
        {"subject_label", "object_id"},
        lambda row: CuratedWord(*(row[name] for name in _STORED)),
        word_fault,
        lambda item: fold(item.word),
        lambda item: RowFault(
            "an earlier line has a concept for the word %(word)s", {"word": repr(item.word[:80])}
        ),
    )


def word_fault(item: CuratedWord) -> RowFault | None:
    """Return the fault of a row, None if it has none."""
    if not fold(item.word):
        return RowFault("the word is missing")
    if len(item.word) > MAX_LENGTH:
        return RowFault(
            "the word has %(length)s characters; at most %(most)s are allowed",
            {"length": len(item.word), "most": MAX_LENGTH},
        )
    if item.concept != NO_CONCEPT and resolve_concept(item.concept) is None:
        schemes = ", ".join(OWN_SCHEMES)
        return RowFault(
            "unknown concept %(concept)s; write it as sdg:4, sdg:4.4, area:404, or with one of "
            "%(schemes)s as action-line:C7-ehea",
            {"concept": repr(item.concept[:80]), "schemes": schemes},
        )
    return date_fault(item.day)


CONFIRMED, REFUSED, SUGGESTED = DECISIONS = ("confirmed", "refused", "suggested")
TOPIC_COLUMNS = (
    "record_id",
    "object_id",
    "decision",
    "author_label",
    "mapping_date",
    "comment",
    "confidence",
    "mapping_tool",
    "mapping_tool_version",
)
_TOPICS = ("goal", "target", "action-line")
_CONFIDENCE = re.compile(r"(?:0(?:\.[0-9]+)?|1(?:\.0+)?)\Z")


@dataclass(frozen=True, slots=True)
class TopicDecision:
    """The *decision* (one of ``DECISIONS``) of *author* on *day* (ISO 8601) about a *concept* that is
    suggested for the record *key*.

    A ``SUGGESTED`` concept is not decided yet: *method* in a *version* suggested it elsewhere with a
    *confidence* from 0 to 1. Its *comment* has the words of the record that led to it.
    """

    key: str
    concept: str
    decision: str
    author: str = ""
    day: str = ""
    comment: str = ""
    confidence: str = ""
    method: str = ""
    version: str = ""


def write_decisions(decisions: Iterable[TopicDecision]) -> str:
    """Return the table, in the order of the records."""
    ordered = sorted(decisions, key=lambda item: (item.key, item.concept))
    return write_table(TOPIC_COLUMNS, map(astuple, ordered))


def read_decisions(text: str) -> tuple[list[TopicDecision], list[RowFault]]:
    """Return the decisions of a table, and a fault with its line for each row that cannot be used."""
    return read_table(
        text,
        TOPIC_COLUMNS,
        TOPIC_COLUMNS[:3],
        lambda row: TopicDecision(*row.values()),
        topic_fault,
        lambda item: (item.key, item.concept),
        lambda _: RowFault("an earlier line is about the same record and concept"),
    )


def topic_fault(item: TopicDecision) -> RowFault | None:
    """Return the fault of a row, None if it has none."""
    if not item.key:
        return RowFault("the record is missing")
    resolved = resolve_concept(item.concept)
    if resolved is None or resolved[0] not in _TOPICS:
        return RowFault(
            "unknown concept %(concept)s; write it as sdg:4, sdg:4.4 or action-line:C7-ehea",
            {"concept": repr(item.concept[:80])},
        )
    if item.decision not in DECISIONS:
        names = ", ".join(DECISIONS)
        return RowFault(
            "%(value)s is not a decision; write one of %(names)s",
            {"value": repr(item.decision[:80]), "names": names},
        )
    if item.decision == SUGGESTED and not (item.method and _CONFIDENCE.match(item.confidence)):
        return RowFault(
            "a suggested topic needs its method in mapping_tool and a confidence from 0 to 1"
        )
    return date_fault(item.day)
