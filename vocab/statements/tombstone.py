"""Write tombstones of deleted records, and marks of vanished ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, RDF, instant, literal

# These describe the record, not its topic, so that queries do not count the topic as existing.
_KEPT_PROPERTIES = {
    f"<{DCT}title>": f"<{DCT}title>",
    f"<{RDF}type>": f"<{DCT}type>",
    f"<{FOAF}page>": f"<{FOAF}page>",
}


@dataclass(frozen=True, slots=True)
class Deletion:
    """When, why and by which run a record was deleted.

    *replacement* is the IRI of the record that has the same content, or that describes the same
    thing in another registry; None if there is none.
    """

    run: str
    deleted_at: datetime
    reason: str
    replacement: str | None = None


def write_tombstone(
    key: str, source: str, about: Deletion, first_seen: datetime, before: Sequence[str], iris: Iris
) -> list[str]:
    """Describe a deleted record: its address and topic, when, why and by which run it was deleted,
    what it was, its replacement.

    The record's ``dct:type`` is its topic's former type, such as an initiative;
    ``dct:isReplacedBy`` names the replacement
    (https://www.dublincore.org/specifications/dublin-core/dcmi-terms/#isReplacedBy).
    """
    record = f"<{iris.record(source, key)}>"
    since = f"{record} <{iris.operations}vanishedSince> "
    statements = [
        f"<{iris.source(source)}> <{DCAT}record> {record}",
        f"{record} <{RDF}type> <{DCAT}CatalogRecord>",
        f"{record} <{DCT}identifier> {literal(key)}",
        f"{record} <{DCT}issued> {instant(first_seen)}",
        f"{record} <{DCT}modified> {instant(about.deleted_at)}",
        f"{record} <{PROV}invalidatedAtTime> {instant(about.deleted_at)}",
        f"{record} <{PROV}wasInvalidatedBy> <{iris.run(about.run)}>",
        f"{record} <{iris.operations}reason> {literal(about.reason, 'en')}",
        f"{record} <{ADMS}status> <{iris.operations}gone>",
        *_kept_statements(record, before),
        *(line for line in before if line.startswith(since)),
    ]
    if about.replacement is not None:
        statements.append(f"{record} <{DCT}isReplacedBy> <{about.replacement}>")
    return sorted(set(statements))


def _kept_statements(record: str, before: Sequence[str]) -> Iterator[str]:
    """Yield the statements that a tombstone keeps: the topic, its titles, its type and its pages."""
    topic = next(
        (line for line in before if line.startswith(f"{record} <{FOAF}primaryTopic> ")), None
    )
    if topic is None:
        return
    yield topic
    prefix = topic.rpartition(" ")[2] + " "
    for line in before:
        if line.startswith(prefix):
            predicate, _, value = line[len(prefix) :].partition(" ")
            if predicate in _KEPT_PROPERTIES:
                yield f"{record} {_KEPT_PROPERTIES[predicate]} {value}"


def mark_vanished(description: str, key: str, source: str, since: datetime, iris: Iris) -> str:
    """Mark a description (statements, one a line) as that of a vanished record, which is still
    published.
    """
    record = f"<{iris.record(source, key)}>"
    lines = strip_mark(description, key, source, iris).split("\n")
    other_lines = (line for line in lines if not line.startswith(f"{record} <{ADMS}status> "))
    marks = (
        f"{record} <{ADMS}status> <{iris.operations}vanished>",
        f"{record} <{iris.operations}vanishedSince> {instant(since)}",
    )
    return "\n".join(sorted((*other_lines, *marks)))


def strip_mark(description: str, key: str, source: str, iris: Iris) -> str:
    """Return a description without the mark."""
    record = f"<{iris.record(source, key)}>"
    since, status = f"{record} <{iris.operations}vanishedSince> ", f"{record} <{ADMS}status> "
    lines = [
        line
        for line in description.split("\n")
        if not line.startswith((since, f"{status}<{iris.operations}vanished>"))
    ]
    return "\n".join(sorted({*lines, f"{status}<{iris.operations}published>"}))
