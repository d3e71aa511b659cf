"""The statements about one thing, for pages and for RDF, and the status of each source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from pyoxigraph import NamedNode, Triple, serialize

from publisher.rdf import NAMESPACES, PREFIXES, Row, Term, from_node, iri, namespaces, to_node
from publisher.store.query_service import QueryService, query
from vocab.provenance import (
    Freshness,
    FreshnessInputs,
    freshness,
    freshness_inputs,
    next_change,
    terms_by_subject,
)
from web.respond import GraphFormat


class Statement(NamedTuple):
    subject: str
    predicate: str
    object: Term


# A resource: its IRI ("@id") and the values of its properties by prefixed name or IRI. A text is an
# IRI, and a node a part that is described with it; None and empty values are left out.
Node = dict[str, Any]


def node_statements(node: Node) -> list[Statement]:
    """Return the statements of a node, in the order of its properties."""
    statements, subject = [], node["@id"]
    for name, values in node.items():
        if name == "@id" or not values:
            continue
        predicate = _property_iri(name)
        for value in values if isinstance(values, list | tuple) else (values,):
            if isinstance(value, dict):
                statements.append(Statement(subject, predicate, Term(value["@id"])))
                statements += node_statements(value)
            else:
                term = value if isinstance(value, Term) else Term(value)
                statements.append(Statement(subject, predicate, term))
    return statements


@lru_cache(256)
def _property_iri(name: str) -> str:
    prefix, _, local = name.partition(":")
    return NAMESPACES[prefix] + local if prefix in NAMESPACES else name


@dataclass(frozen=True)
class Description:
    """The statements about *iri*. *names* maps the IRIs that they mention to names, *spaces*
    prefixes to namespaces.
    """

    iri: str
    statements: tuple[Statement, ...]
    names: Mapping[str, str]
    spaces: Mapping[str, str]

    @cached_property
    def _objects(self) -> dict[tuple[str, str], list[Term]]:
        objects = defaultdict[tuple[str, str], list[Term]](list)
        for subject, predicate, term in self.statements:
            objects[subject, predicate].append(term)
        return objects

    def all(self, name: str, subject: str | None = None) -> list[Term]:
        """Return the values of the property *name*, such as ``dct:title``, of *subject* (default:
        the thing itself).
        """
        return self._objects.get((subject or self.iri, self.expand(name)), [])

    def one(self, name: str, subject: str | None = None) -> Term | None:
        """Return the first value of the property *name*, None if there is none."""
        return next(iter(self.all(name, subject)), None)

    def subjects(self, name: str, value: str) -> list[str]:
        """Return the subjects whose property *name* has the IRI *value*."""
        predicate = self.expand(name)
        return [
            statement.subject
            for statement in self.statements
            if statement.predicate == predicate
            and statement.object.is_iri
            and statement.object.value == value
        ]

    def name(self, value: str | Term) -> str:
        """Return the English name of an IRI, or the IRI in short form."""
        text = str(value)
        return self.names.get(text) or self.short(text)

    def expand(self, name: str) -> str:
        prefix, _, local = name.partition(":")
        return self.spaces[prefix] + local

    def short(self, text: str) -> str:
        """Return an IRI as a prefixed name where a prefix fits."""
        for prefix, space in self.spaces.items():
            if text.startswith(space) and "/" not in text[len(space) :]:
                return f"{prefix}:{text[len(space) :]}"
        return text


async def describe_graph(
    service: QueryService, graph: str, about: str | None = None
) -> Description:
    """Return all statements of a graph as the description of *about* (default: the graph itself)."""
    rows = await service.rows(query("graph"), {"graph": iri(graph)})
    return await _described(service, about or graph, rows)


async def describe_thing(service: QueryService, thing: str) -> Description:
    rows = await service.rows(query("about"), {"subject": iri(thing)})
    return await _described(service, thing, rows)


async def describe_triples(
    service: QueryService, about: str, triples: Iterable[Triple]
) -> Description:
    return await _described(service, about, _rows(triples))


async def _described(service: QueryService, about: str, rows: Sequence[Row]) -> Description:
    """Return *rows* as the description of *about*, with the names of what they point to."""
    things = sorted({row["object"].value for row in rows if row["object"].is_iri})
    text = query("names").replace("THINGS", " ".join(map(iri, things)))
    named = await service.rows(text) if things else []
    return Description(about, _statements(rows), prefer_english(named), namespaces(service.iris))


async def replacements(service: QueryService, record: str) -> dict[str, Row]:
    """Return the records that replaced a deleted record, by IRI, each with its subject and title."""
    rows = await service.rows(query("replacement"), {"record": iri(record)})
    english_last = sorted(rows, key=lambda row: "title" in row and row["title"].language == "en")
    return {row["replacement"].value: row for row in english_last}


def _statements(rows: Iterable[Row]) -> tuple[Statement, ...]:
    ordered = sorted(
        rows,
        key=lambda row: (
            row["subject"].value,
            row["predicate"].value,
            row["object"].language or "",
            row["object"].value,
        ),
    )
    return tuple(
        Statement(row["subject"].value, row["predicate"].value, row["object"]) for row in ordered
    )


def prefer_english(rows: Iterable[Row], thing: str = "thing", name: str = "name") -> dict[str, str]:
    """Return one name for each thing: in English, else without a language, else any."""
    rank = {"en": 0, None: 1}
    ordered = sorted(
        (row for row in rows if name in row),
        key=lambda row: (rank.get(row[name].language, 2), row[name].value),
    )
    return {row[thing].value: row[name].value for row in reversed(ordered)}


def with_triples(triples: Iterable[Triple], about: Description) -> Description:
    return replace(about, statements=_statements(_rows(triples)))


def _rows(triples: Iterable[Triple]) -> list[Row]:
    return [
        {
            "subject": from_node(item.subject),
            "predicate": from_node(item.predicate),
            "object": from_node(item.object),
        }
        for item in triples
    ]


def serialize_description(description: Description, format: GraphFormat) -> bytes:
    own = {name: description.spaces[name] for name in ("wsis", "ops")}
    triples = (
        Triple(NamedNode(s.subject), NamedNode(s.predicate), to_node(s.object))
        for s in description.statements
    )
    return serialize(triples, format=format.writer, prefixes={**PREFIXES, **own}) or b""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of a source. *properties* are its values in the status graph by local names of our
    terms.

    *withheld* is the number of records that its last run withheld, None if unknown.
    """

    iri: str
    name: str
    title: str | None
    properties: Mapping[str, str]
    withheld: int | None
    inputs: FreshnessInputs

    def state(self, at: datetime) -> Freshness:
        return freshness(self.inputs, at)

    def run(self, term: str) -> str | None:
        """Return the id of the run that is the value of *term*, None if there is none."""
        return self.properties[term].rpartition("/run/")[2] if term in self.properties else None

    @property
    def last_full_harvest(self) -> str | None:
        return self.properties.get("lastFullHarvest")


def last_confirmed(
    source_status: SourceStatus | None, description: Description, record: str
) -> str | None:
    """Return when a record was last seen at its source: in a full harvest, or when a run last wrote
    it.

    None if the record has vanished or is deleted, or if its status is unknown.
    """
    status = description.one("adms:status", record)
    modified = description.one("dct:modified", record)
    if status is None or status.value != description.expand("ops:published"):
        return None
    times = (
        source_status.last_full_harvest if source_status else None,
        modified.value if modified else None,
    )
    return max(filter(None, times), default=None)


async def source_statuses(service: QueryService) -> dict[str, SourceStatus]:
    """Return the status of each source, by name, sorted by name."""
    bound = {"graph": iri(service.iris.status)}
    rows = await service.rows(query("graph"), bound)
    triples = ((row["subject"].value, row["predicate"].value, row["object"].value) for row in rows)
    properties = terms_by_subject(triples, service.iris.operations)
    titles = prefer_english(await service.rows(query("sources")), "source", "title")
    withheld = {
        row["source"].value: int(row["withheld"].value)
        for row in await service.rows(query("last-withheld"))
    }
    start = service.iris.source("")
    return {
        (name := source.removeprefix(start)): SourceStatus(
            source, name, titles.get(source), values, withheld.get(source), freshness_inputs(values)
        )
        for source, values in sorted(properties.items())
        if source.startswith(start)
    }


def count_by_state(statuses: Mapping[str, SourceStatus], at: datetime) -> dict[Freshness, int]:
    counts = Counter(item.state(at) for item in statuses.values())
    return {state: counts[state] for state in Freshness if counts[state]}


def next_status_change(statuses: Mapping[str, SourceStatus], at: datetime) -> datetime | None:
    """Return when the freshness of some source changes next without a run; None if never."""
    return min(
        (change for item in statuses.values() if (change := next_change(item.inputs, at))),
        default=None,
    )
