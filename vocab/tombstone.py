"""Tombstones: what stays of a record that is gone, and the mark of one that has vanished and is still served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, RDF, instant, literal

# What it was stays with the record, not with its topic, so that no query counts the topic as being there.
_KEPT = {f"<{DCT}title>": f"<{DCT}title>", f"<{RDF}type>": f"<{DCT}type>", f"<{FOAF}page>": f"<{FOAF}page>"}


@dataclass(frozen=True, slots=True)
class Burial:
    """When, why and by which run a record went; *heir* is the key of the record that says the same now, None where none does."""

    run: str
    at: datetime
    reason: str
    heir: str | None = None


def bury(key: str, source: str, about: Burial, first_seen: datetime, before: Sequence[str], iris: Iris) -> list[str]:
    """Describe a record that is gone: its address and topic stay, and it tells when, why, by which run, what it was and its heir.

    The record's ``dct:type`` is what its topic was, such as an initiative; ``dct:isReplacedBy`` names the heir
    (https://www.dublincore.org/specifications/dublin-core/dcmi-terms/#isReplacedBy).
    """
    record = f"<{iris.record(source, key)}>"
    since = f"{record} <{iris.ns}vanishedSince> "
    out = [
        f"<{iris.source(source)}> <{DCAT}record> {record}",
        f"{record} <{RDF}type> <{DCAT}CatalogRecord>",
        f"{record} <{DCT}identifier> {literal(key)}",
        f"{record} <{DCT}issued> {instant(first_seen)}",
        f"{record} <{DCT}modified> {instant(about.at)}",
        f"{record} <{PROV}invalidatedAtTime> {instant(about.at)}",
        f"{record} <{PROV}wasInvalidatedBy> <{iris.run(about.run)}>",
        f"{record} <{iris.ns}reason> {literal(about.reason, 'en')}",
        f"{record} <{ADMS}status> <{iris.ns}gone>",
        *_was(record, before),
        *(line for line in before if line.startswith(since)),
    ]
    if about.heir is not None:
        out.append(f"{record} <{DCT}isReplacedBy> <{iris.record(source, about.heir)}>")
    return sorted(set(out))


def _was(record: str, before: Sequence[str]) -> Iterator[str]:
    """Give what is kept of a description: the topic, its titles, its kind and its pages."""
    topic = next((line for line in before if line.startswith(f"{record} <{FOAF}primaryTopic> ")), None)
    if topic is None:
        return
    yield topic
    its = topic.rpartition(" ")[2] + " "
    for line in before:
        if line.startswith(its):
            predicate, _, value = line[len(its) :].partition(" ")
            if predicate in _KEPT:
                yield f"{record} {_KEPT[predicate]} {value}"


def mark(description: str, key: str, source: str, since: datetime, iris: Iris) -> str:
    """Mark a description (statements, one a line) as that of a record that has vanished, and that is served all the same."""
    record = f"<{iris.record(source, key)}>"
    kept = (line for line in unmarked(description, key, source, iris).split("\n") if not line.startswith(f"{record} <{ADMS}status> "))
    marks = (f"{record} <{ADMS}status> <{iris.ns}vanished>", f"{record} <{iris.ns}vanishedSince> {instant(since)}")
    return "\n".join(sorted((*kept, *marks)))


def unmarked(description: str, key: str, source: str, iris: Iris) -> str:
    """Give a description as it was before it was marked."""
    record = f"<{iris.record(source, key)}>"
    since, status = f"{record} <{iris.ns}vanishedSince> ", f"{record} <{ADMS}status> "
    lines = [line for line in description.split("\n") if not line.startswith((since, f"{status}<{iris.ns}vanished>"))]
    published = f"{status}<{iris.ns}published>"
    return "\n".join(sorted({*lines, published}))
