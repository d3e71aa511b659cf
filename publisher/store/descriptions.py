"""The statements about one thing, for pages and for RDF, what changed of them, and the status of each
source.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, NamedTuple

import zstandard
from pyoxigraph import NamedNode, RdfFormat, Triple, parse, serialize

from languages.translations import current_locale, gettext
from publisher.data.tables import FacetIndex, sql
from publisher.errors import RowLimit
from publisher.rdf import (
    NAMESPACES,
    PREFIXES,
    Row,
    Term,
    from_node,
    iri,
    namespaces,
    term_id,
    to_node,
)
from publisher.store.query_service import QueryService
from vocab.field_changes import field_views
from vocab.iris import Iris
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


MAX_STATEMENTS = 400_000  # of a description: as many quads as a query may read into memory
_IN_BRACKETS = re.compile(r"<([^<>\s]+)>")


async def describe_graph(
    service: QueryService, graph: str, about: str | None = None
) -> Description:
    """Return all statements of a graph as the description of *about* (default: the graph itself)."""
    return await describe(service, about or graph, f"FROM quads WHERE g = {number_of(graph)}")


async def describe_thing(service: QueryService, thing: str) -> Description:
    """Return all statements about a thing, in any graph."""
    return await describe(service, thing, f"FROM triples WHERE s = {number_of(thing)}")


async def describe_triples(
    service: QueryService, about: str, triples: Sequence[Triple]
) -> Description:
    objects = ", ".join({str(term_id(str(triple.object))) for triple in triples})
    nothing = f"FROM (SELECT 0 AS s, 0 AS p, unnest([{objects}]::UBIGINT[]) AS o)"
    return with_triples(triples, await describe(service, about, nothing))


async def describe(service: QueryService, about: str, stated: str) -> Description:
    """Return the statements that *stated*, SQL over the numbers of terms, selects as the description
    of *about*, with the names of what they point to. In angle brackets SQL has prefixed names, and
    IRIs below our base. Raises NotReady, and RowLimit if there are more than MAX_STATEMENTS.
    """
    spaces = namespaces(service.iris)

    def number(match: re.Match[str]) -> str:
        prefix, _, local = match[1].rpartition(":")
        return number_of((spaces[prefix] if prefix else service.iris.base) + local)

    text = sql("description").replace("$stated", stated).replace("$most", f"{MAX_STATEMENTS + 1}")
    text = _IN_BRACKETS.sub(number, text)
    rows = await asyncio.to_thread(lambda: service.tables.read(text))  # it may open the tables
    stated_and_named: tuple[list[Statement], list[Statement]] = [], []
    for is_name, subject, predicate, *term in rows:
        stated_and_named[is_name].append(Statement(subject, predicate, Term(*term)))
    statements, named = stated_and_named
    if len(statements) > MAX_STATEMENTS:
        raise RowLimit(f"the description has more than {MAX_STATEMENTS} statements; use a dump")
    named.sort(key=lambda item: english_first(item.object), reverse=True)
    names = {item.subject: item.object.value for item in named}
    return Description(about, _sorted(statements), names, spaces)


def number_of(address: str) -> str:
    """Return the number of the term of an IRI."""
    return str(term_id(iri(address)))


async def replacements(
    service: QueryService, description: Description, record: str
) -> dict[str, Row]:
    """Return the records that replaced the deleted *record* that *description* describes, by IRI,
    each with its thing and the title of that, in English if there is one.
    """
    rows = dict[str, Row]()
    for term in description.all("dct:isReplacedBy", record):
        about = await describe_graph(service, term.value)
        thing = about.one("foaf:primaryTopic")
        titles = about.all("dct:title", thing.value) if thing else []
        values = {"thing": thing, "title": min(titles, key=english_first, default=None)}
        rows[term.value] = {name: value for name, value in values.items() if value}
    return rows


def _sorted(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(
        sorted(statements, key=lambda item: (*item[:2], item[2].language or "", item[2].value))
    )


def english_first(name: Term) -> tuple[int, str]:
    """Return a key by which names are sorted: in English, without a language, in others."""
    return {"en": 0, None: 1}.get(name.language, 2), name.value


def with_triples(triples: Iterable[Triple], about: Description) -> Description:
    return replace(
        about,
        statements=_sorted(
            Statement(from_node(item.subject).value, item.predicate.value, from_node(item.object))
            for item in triples
        ),
    )


STAMP = "%Y%m%d%H%M%S"  # the form of times in the addresses of past states


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A change of a graph: its entry, run and time (seconds since 1970, which never decreases), and
    the number of added and removed triples.

    *rows* are lines ``A <s> <p> <o>`` and ``D ...``; None for the change that created the graph.
    """

    entry: int
    run: str
    time: int
    added: int
    removed: int
    rows: tuple[str, ...] | None

    @property
    def stamp(self) -> str:
        """Return its time in fourteen digits, UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime(STAMP)

    @property
    def date(self) -> str:
        return formatdate(self.time, usegmt=True)

    def address(self, graph: str) -> str:
        """Return the path of the state after it; *graph* is the path of the graph without the first
        slash.
        """
        return f"/memento/{self.stamp}/{graph}"


def triples_of(rows: Iterable[str], sign: str) -> Iterator[Triple]:
    """Yield the triples of those *rows* of a change that begin with *sign*, ``A`` or ``D``."""
    return parse_triples(f"{row[2:]} .\n" for row in rows if row.startswith(sign))


def parse_triples(lines: Iterable[str]) -> Iterator[Triple]:
    quads = parse("".join(lines), RdfFormat.N_TRIPLES, lenient=True)
    return (quad.triple for quad in quads)


def read_rows(data: bytes | None) -> tuple[str, ...] | None:
    return None if data is None else tuple(zstandard.decompress(data).decode().split("\n"))


def mementos(changes: Iterable[GraphChange]) -> list[GraphChange]:
    """Return the changes that a state of the graph follows, oldest first: of several in one second,
    the last.
    """
    return list({item.time: item for item in changes}.values())


def graph_changes(tables: FacetIndex, graph: str) -> tuple[GraphChange, ...]:
    """Return the published changes of *graph*, oldest first."""
    rows = tables.query(sql("changes-of-graph"), graph=term_id(f"<{graph}>"))
    return tuple(GraphChange(*(*row, read_rows(data))) for *row, data in rows)


async def read_history(service: QueryService, graph: str) -> tuple[GraphChange, ...]:
    """Return the published changes of *graph*, oldest first. Raises NotReady."""
    return await asyncio.to_thread(lambda: graph_changes(service.tables, graph))


SHOWN_CHANGES = 20  # changes that a page shows, the newest


SHOWN_ROWS = 60  # triples of a change that a page shows


def recent_changes(
    changes: Sequence[GraphChange], about: Description, iris: Iris
) -> list[dict[str, object]]:
    """Return the newest changes of the graph that *about* describes, the newest first: *added* and
    *removed* are the first SHOWN_ROWS rows, none of the change that created the graph, *fields* is
    what changed, as people read it, and *memento* the path of the state after it, None if a later
    change has the same second.
    """
    graph, states = about.iri.removeprefix(iris.base), mementos(changes)
    return [
        _change(item, about, iris, item.address(graph) if item in states else None)
        for item in islice(reversed(changes), SHOWN_CHANGES)
    ]


def _change(
    change: GraphChange, about: Description, iris: Iris, memento: str | None
) -> dict[str, object]:
    added, removed = (
        with_triples(triples_of(change.rows or (), sign), about).statements[:SHOWN_ROWS]
        for sign in "AD"
    )
    old, new = (
        [row[2:] for row in change.rows or () if row.startswith(sign)] for sign in ("D ", "A ")
    )
    return {
        "run": iris.run(change.run),
        "time": datetime.fromtimestamp(change.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "memento": memento,
        "added_count": change.added,
        "removed_count": change.removed,
        "added": added,
        "removed": removed,
        "first": change.rows is None,
        "fields": field_views(old, new, iris.base, current_locale().language, gettext)
        if change.rows
        else [],
    }


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


async def describe_sources(service: QueryService) -> Description:
    """Return the graph of the sources' status, with what the registries are called and by whom they
    are published.
    """
    return await describe(service, service.iris.status, sql("sources"))


async def registry_rows(service: QueryService) -> dict[str, Row]:
    """Return the registries by name, sorted by title: *source*, *title* and, if known, *publisher*,
    *licence* and the *outcome* of the last run.
    """
    sources, start = await describe_sources(service), service.iris.source("")
    rows = dict[str, Row]()
    for source in dict.fromkeys(item.subject for item in sources.statements):
        titles = sources.all("dct:title", source)
        if titles and source.startswith(start):
            publisher = str(sources.one("dct:publisher", source) or "-")
            values = {
                "source": Term(source),
                "title": min(titles, key=english_first),
                "publisher": sources.one("foaf:name", publisher),
                "licence": sources.one("dct:license", source),
                "outcome": sources.one("ops:lastOutcome", source),
            }
            rows[source.removeprefix(start)] = {name: term for name, term in values.items() if term}
    return dict(sorted(rows.items(), key=lambda item: item[1]["title"].value))


async def source_statuses(service: QueryService) -> dict[str, SourceStatus]:
    """Return the status of each source, by name, sorted by name."""
    sources = await describe_sources(service)
    start = service.iris.source("")
    triples = ((item.subject, item.predicate, item.object.value) for item in sources.statements)
    properties = terms_by_subject(triples, service.iris.operations)
    statuses = {}
    for source, values in sorted(properties.items()):
        if source.startswith(start):
            name = source.removeprefix(start)
            titles = sources.all("dct:title", source)
            withheld = sources.one("ops:withheldRecords", values.get("lastRun", "-"))
            statuses[name] = SourceStatus(
                source,
                name,
                str(min(titles, key=english_first)) if titles else None,
                values,
                int(withheld.value) if withheld else None,
                freshness_inputs(values),
            )
    return statuses


def count_by_state(statuses: Mapping[str, SourceStatus], at: datetime) -> dict[Freshness, int]:
    counts = Counter(item.state(at) for item in statuses.values())
    return {state: counts[state] for state in Freshness if counts[state]}


def next_status_change(statuses: Mapping[str, SourceStatus], at: datetime) -> datetime | None:
    """Return when the freshness of some source changes next without a run; None if never."""
    return min(
        (change for item in statuses.values() if (change := next_change(item.inputs, at))),
        default=None,
    )
