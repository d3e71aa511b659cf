"""Read the cases of the W3C SPARQL 1.1 suite from its own manifests, and its results in a form that
can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pyoxigraph import (
    BlankNode,
    CanonicalizationAlgorithm,
    Dataset,
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Store,
    Triple,
    parse,
    parse_query_results,
)
from suites import folder

Node = NamedNode | BlankNode | Literal | Triple

SUITE = folder("w3c-sparql11")
MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
QT = "http://www.w3.org/2001/sw/DataAccess/tests/test-query#"
RS = "http://www.w3.org/2001/sw/DataAccess/tests/result-set#"
UT = "http://www.w3.org/2009/sparql/tests/test-update#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
NUMBERS = ("integer", "decimal", "double", "float")


class Facts:
    """The statements of a Turtle file."""

    def __init__(self, file: Path) -> None:
        self._store = Store()
        self._store.extend(parse(path=str(file), base_iri=file.as_uri()))

    def all(self, subject: Node, predicate: str) -> list[Node]:
        assert not isinstance(subject, Literal)
        return [
            quad.object
            for quad in self._store.quads_for_pattern(subject, NamedNode(predicate), None, None)
        ]

    def one(self, subject: Node | None, predicate: str) -> Node | None:
        return next(iter(self.all(subject, predicate)), None) if subject is not None else None

    def items(self, head: Node | None) -> Iterator[Node]:
        while head is not None and head != NamedNode(RDF + "nil"):
            first = self.one(head, RDF + "first")
            assert first is not None
            yield first
            head = self.one(head, RDF + "rest")

    def subjects(self, predicate: str, value: Node) -> list[Node]:
        return [
            quad.subject
            for quad in self._store.quads_for_pattern(None, NamedNode(predicate), value, None)
        ]


@dataclass(frozen=True)
class SparqlCase:
    """One entry: *kind* is the local name of its class; its graphs are files, and *result* is None
    for a test of syntax.
    """

    name: str
    kind: str
    query: Path
    default: tuple[Path, ...] = ()
    named: tuple[Path, ...] = ()
    result: Path | None = None


def cases(manifest: Path) -> Iterator[SparqlCase]:
    """Yield the entries of *manifest* and of those that it includes."""
    facts, here = Facts(manifest), NamedNode(manifest.as_uri())
    for file in facts.items(facts.one(here, MF + "include")):
        yield from cases(path(file))
    for entry in facts.items(facts.one(here, MF + "entries")):
        action = facts.one(entry, MF + "action")
        query = facts.one(action, QT + "query") or action
        if not isinstance(query, NamedNode) or action is None:
            continue  # This is a test of a protocol or of an update.
        yield SparqlCase(
            f"{manifest.parent.name}/{str(entry).rpartition('#')[2].rstrip('>')}",
            local(facts.one(entry, RDF + "type")),
            path(query),
            tuple(path(file) for file in facts.all(action, QT + "data")),
            tuple(path(file) for file in facts.all(action, QT + "graphData")),
            path(result)
            if isinstance(result := facts.one(entry, MF + "result"), NamedNode)
            else None,
        )


def local(node: Node | None) -> str:
    """Return the last part of an IRI."""
    return node.value.rpartition("#")[2] if isinstance(node, NamedNode) else ""


def path(node: Node) -> Path:
    """Return the file that an IRI names."""
    assert isinstance(node, NamedNode)
    return Path(node.value.removeprefix("file://"))


def load(store: Store, case: SparqlCase) -> None:
    """Make *store* hold the graphs of *case*, and nothing else."""
    store.clear()
    for file in case.default:
        store.load(path=str(file), base_iri=file.as_uri())
    for file in case.named:
        store.load(path=str(file), base_iri=file.as_uri(), to_graph=NamedNode(file.as_uri()))


def graph(data: bytes, form: RdfFormat, base: str) -> list[str]:
    """Write a graph in its canonical form."""
    return _canonical(quad.triple for quad in parse(data, form, base_iri=base))


def table(data: bytes, form: QueryResultsFormat) -> bool | list[str]:
    """Write solutions in a form in which equal solutions are equal lists, whatever their order and
    their blank nodes.
    """
    query_results = parse_query_results(data, form)
    if isinstance(query_results, QueryBoolean):
        return bool(query_results)
    assert isinstance(query_results, QuerySolutions)
    names = [variable.value for variable in query_results.variables]
    return _rows(
        {name: row[name] for name in names if row[name] is not None} for row in query_results
    )


def result_set(file: Path) -> bool | list[str] | None:
    """Return the result set that a file describes in RDF, None if it describes another graph."""
    facts = Facts(file)
    sets = facts.subjects(RDF + "type", NamedNode(RS + "ResultSet"))
    if not sets:
        return None
    if (answer := facts.one(sets[0], RS + "boolean")) is not None:
        return isinstance(answer, Literal) and answer.value == "true"
    return _rows(_bindings(facts, solution) for solution in facts.all(sets[0], RS + "solution"))


def _bindings(facts: Facts, solution: Node) -> dict[str, Node]:
    bindings = facts.all(solution, RS + "binding")
    results = (
        (facts.one(binding, RS + "variable"), facts.one(binding, RS + "value"))
        for binding in bindings
    )
    return {
        name.value: value
        for name, value in results
        if isinstance(name, Literal) and value is not None
    }


def _rows(rows: Iterator[dict[str, Node]]) -> list[str]:
    triples = []
    for row in rows:
        here = BlankNode()
        triples.append(Triple(here, NamedNode(RDF + "type"), NamedNode(RS + "solution")))
        triples += [
            Triple(here, NamedNode(f"urn:variable:{name}"), _by_value(value))
            for name, value in row.items()
        ]
    return _canonical(iter(triples))


def _by_value(term: Node) -> Node:
    """Write a number or a boolean in one way: the engine keeps its value and not its spelling,
    which SPARQL allows.
    """
    kind = term.datatype.value.removeprefix(XSD) if isinstance(term, Literal) else ""
    if isinstance(term, Literal) and kind == "boolean":
        return Literal(
            {"1": "true", "0": "false"}.get(term.value, term.value), datatype=term.datatype
        )
    if not isinstance(term, Literal) or kind not in NUMBERS:
        return term
    try:
        value = (
            float(term.value) if kind in ("double", "float") else Decimal(term.value).normalize()
        )
    except ArithmeticError:
        return term
    return Literal(str(value), datatype=term.datatype)


def _canonical(triples: Iterator[Triple]) -> list[str]:
    dataset = Dataset(Quad(*triple, DefaultGraph()) for triple in triples)  # type: ignore[call-arg]
    dataset.canonicalize(CanonicalizationAlgorithm.UNSTABLE)
    return sorted(str(quad.triple) for quad in dataset)
