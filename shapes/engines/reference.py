"""Validate by pyshacl (https://github.com/RDFLib/pySHACL), the reference for the fast engine."""

from __future__ import annotations

from collections.abc import Iterator

import pyoxigraph as ox
import pyshacl
from pyshacl.errors import ReportableRuntimeError
from rdflib import BNode, Graph, Literal, URIRef
from rdflib.namespace import SH
from rdflib.term import Node

from shapes.engines.comparison_constraint import check_order, extract_constraints
from shapes.engines.engine import Engine, EngineError
from shapes.result import Result, Severity
from vocab.terms import literal


def _node(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
    """Return the rdflib term; literals keep their lexical form, which rdflib's parsers change."""
    if isinstance(term, ox.NamedNode):
        return URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return BNode(term.value)
    if not isinstance(term, ox.Literal):
        raise EngineError("a triple inside a triple is not part of RDF 1.1")
    if term.language:
        return Literal(term.value, lang=term.language)
    plain = term.datatype.value == "http://www.w3.org/2001/XMLSchema#string"
    return Literal(
        term.value, datatype=None if plain else URIRef(term.datatype.value), normalize=False
    )


def graph(text: str, format: ox.RdfFormat, base: str | None = None) -> Graph:
    """Parse *text* into an rdflib graph. Raise EngineError if it is malformed."""
    target = Graph()
    try:
        for quad in ox.parse(text, format=format, base_iri=base):
            target.add((_node(quad.subject), _node(quad.predicate), _node(quad.object)))
    except SyntaxError as error:
        raise EngineError(str(error)) from error
    return target


def _text(term: Node | None) -> str:
    """Return a term as canonical N-Triples."""
    if not isinstance(term, Literal):
        return f"<{term}>" if isinstance(term, URIRef) else f"_:{term}"
    return (
        literal(str(term), term.language)
        if term.language or not term.datatype
        else f"{literal(str(term))}^^<{term.datatype}>"
    )


def _results(report: Graph) -> Iterator[Result]:
    # Results under sh:detail are parts of others.
    for result in report.objects(None, SH.result):
        focus, path, value = (
            report.value(result, name) for name in (SH.focusNode, SH.resultPath, SH.value)
        )
        yield Result(
            focus=str(focus) if isinstance(focus, URIRef) else _text(focus),
            path=str(path) if isinstance(path, URIRef) else None,
            component=str(report.value(result, SH.sourceConstraintComponent)).removeprefix(str(SH)),
            severity=Severity(str(report.value(result, SH.resultSeverity)).removeprefix(str(SH))),
            value=None if value is None else _text(value),
            message=str(report.value(result, SH.resultMessage) or ""),
            shape=str(report.value(result, SH.sourceShape)),
        )


def _strict(shapes: Graph) -> None:
    """End patterns as XPath does: Python's ``$`` also matches before a final line end."""
    for shape, pattern in list(shapes.subject_objects(SH.pattern)):
        if str(pattern).endswith("$"):
            shapes.remove((shape, SH.pattern, pattern))
            shapes.add((shape, SH.pattern, Literal(f"{str(pattern)[:-1]}\\Z")))


def engine(turtle: str, base: str) -> Engine:
    """Parse shapes once, and correct two deviations of pyshacl: the comparison of dates, and the
    end of a pattern.
    """
    shapes = graph(turtle, ox.RdfFormat.TURTLE, base)
    constraints = extract_constraints(shapes)
    _strict(shapes)

    def validate(text: str) -> list[Result]:
        data = graph(text, ox.RdfFormat.N_TRIPLES)
        try:
            _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True)
        except (ReportableRuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise EngineError(str(error)) from error
        if not isinstance(report, Graph):
            raise EngineError(str(report))
        return [*_results(report), *check_order(text, constraints)]

    return validate
