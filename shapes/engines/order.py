"""Order: ``sh:lessThanOrEquals`` as the specification defines it, for the reference engine.

pyshacl compares with rdflib's own order: between an ill-typed and a well-typed date it raises TypeError and loses the whole run,
between a year and a day it may miss the result that SHACL asks for. Here the specification's own SPARQL answers
(https://www.w3.org/TR/shacl/#LessThanOrEqualsConstraintComponent): values that cannot be compared are a result. What SPARQL 1.1
can compare of dates is times with times and days with days; the store would compare years too, so the query names the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pyoxigraph as ox
from rdflib import Graph, URIRef
from rdflib.namespace import RDF, SH

from shapes.result import Result, Severity

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


@dataclass(frozen=True, slots=True)
class Order:
    """One constraint: nodes of a class whose values at *path* are not to be greater than those at *other*."""

    shape: str
    target: str
    path: str
    other: str
    severity: Severity
    message: str


def orders(shapes: Graph) -> list[Order]:
    """Take all ``sh:lessThanOrEquals`` of class-targeted shapes out of a shapes graph."""
    found = [
        Order(
            shape=str(shape),
            target=str(target),
            path=str(shapes.value(shape, SH.path)),
            other=str(other),
            severity=Severity(str(shapes.value(shape, SH.severity) or SH.Violation).removeprefix(str(SH))),
            message=str(shapes.value(shape, SH.message) or ""),
        )
        for shape, other in shapes.subject_objects(SH.lessThanOrEquals)
        for owner in shapes.subjects(SH.property, shape)
        for target in _targets(shapes, owner)
        if isinstance(shape, URIRef)
    ]
    for order in found:
        shapes.remove((URIRef(order.shape), SH.lessThanOrEquals, None))
    return found


def _targets(shapes: Graph, owner: object) -> Iterator[str]:
    if isinstance(owner, URIRef) and (owner, RDF.type, SH.NodeShape) in shapes:
        yield from (str(target) for target in shapes.objects(owner, SH.targetClass))


def compared(text: str, asked: list[Order]) -> Iterator[Result]:
    """Find the values in *text* (N-Triples) that are greater than they may be, or that cannot be compared."""
    data = ox.Store()
    data.load(text.encode(), format=ox.RdfFormat.N_TRIPLES)
    for order in asked:
        rows = data.query(_QUERY, substitutions=_bound(order))
        for row in cast(ox.QuerySolutions, rows):
            yield Result(
                focus=row["this"].value,
                path=order.path,
                component="LessThanOrEqualsConstraintComponent",
                severity=order.severity,
                value=str(row["value"]),
                message=order.message,
                shape=order.shape,
            )


def _bound(order: Order) -> dict[ox.Variable, ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple]:
    names = {"class": order.target, "path": order.path, "other": order.other}
    return {ox.Variable(name): ox.NamedNode(iri) for name, iri in names.items()}
