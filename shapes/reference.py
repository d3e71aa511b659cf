"""Validate by pyshacl (https://github.com/RDFLib/pySHACL), the reference for the fast engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pyoxigraph as ox
import pyshacl
from pyshacl.errors import ReportableRuntimeError
from rdflib import BNode, Graph, Literal, URIRef
from rdflib.namespace import RDF, SH
from rdflib.term import Node

from shapes.rules import Severity
from shapes.validate import Engine, EngineError, Result
from vocab.terms import literal

_QUERY = """
    PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
    SELECT DISTINCT ?this ?value ?class ?path ?other WHERE {
        ?this a ?class ; ?path ?value ; ?other ?than .
        BIND (COALESCE(
            IF(DATATYPE(?value) = xsd:dateTime && DATATYPE(?than) = xsd:dateTime,
                xsd:dateTime(STR(?value)) <= xsd:dateTime(STR(?than)), 1/0),
            IF(DATATYPE(?value) = xsd:date && DATATYPE(?than) = xsd:date, xsd:date(STR(?value)) <= xsd:date(STR(?than)), 1/0),
            IF(DATATYPE(?value) = xsd:string && DATATYPE(?than) = xsd:string, ?value <= ?than, 1/0),
            false) AS ?result)
        FILTER (!?result)
    }"""


# The terms of a comparison as the query names them, and the result of a value that is too great.
Constraint = tuple[dict[str, str], Result]


def extract_constraints(shapes: Graph) -> list[Constraint]:
    """Remove all ``sh:lessThanOrEquals`` of class-targeted shapes from a shapes graph, and return
    them.
    """
    constraints = [
        (
            {"class": target, "path": str(shapes.value(shape, SH.path)), "other": str(other)},
            Result(
                focus="",
                path=str(shapes.value(shape, SH.path)),
                component="LessThanOrEqualsConstraintComponent",
                severity=Severity(
                    str(shapes.value(shape, SH.severity) or SH.Violation).removeprefix(str(SH))
                ),
                value=None,
                message=str(shapes.value(shape, SH.message) or ""),
                shape=str(shape),
            ),
        )
        for shape, other in shapes.subject_objects(SH.lessThanOrEquals)
        for owner in shapes.subjects(SH.property, shape)
        for target in _targets(shapes, owner)
        if isinstance(shape, URIRef)
    ]
    for _, result in constraints:
        shapes.remove((URIRef(result.shape), SH.lessThanOrEquals, None))
    return constraints


def _targets(shapes: Graph, owner: object) -> Iterator[str]:
    if isinstance(owner, URIRef) and (owner, RDF.type, SH.NodeShape) in shapes:
        yield from (str(target) for target in shapes.objects(owner, SH.targetClass))


def check_order(text: str, constraints: list[Constraint]) -> Iterator[Result]:
    """Yield the values in *text* (N-Triples) that are too great or cannot be compared.

    pyshacl compares by rdflib's order. For an ill-typed and a well-typed date it raises TypeError
    and loses the whole run; for a year and a day it may miss a result that SHACL requires. The
    query is the specification's definition: values that cannot be compared are a result
    (https://www.w3.org/TR/shacl/#LessThanOrEqualsConstraintComponent). SPARQL 1.1 compares times
    with times and days with days; the store would compare years too, so the query names the two
    types.
    """
    data = ox.Store()
    data.load(text.encode(), format=ox.RdfFormat.N_TRIPLES)
    for names, result in constraints:
        bound: dict[ox.Variable, Any] = {
            ox.Variable(name): ox.NamedNode(iri) for name, iri in names.items()
        }
        for row in cast(ox.QuerySolutions, data.query(_QUERY, substitutions=bound)):
            yield replace(result, focus=row["this"].value, value=str(row["value"]))


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
