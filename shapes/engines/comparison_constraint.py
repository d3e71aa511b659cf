"""Check ``sh:lessThanOrEquals`` as the specification defines it, for the reference engine.

pyshacl compares by rdflib's order. For an ill-typed and a well-typed date it raises TypeError and
loses the whole run; for a year and a day it may miss a result that SHACL requires. This module uses the specification's SPARQL definition
(https://www.w3.org/TR/shacl/#LessThanOrEqualsConstraintComponent): values that cannot be compared
are a result. SPARQL 1.1 compares times with times and days with days; the store would compare years
too, so the query names the two types.
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
class ComparisonConstraint:
    """One constraint: values at *path* of a class must not be greater than those at *other*."""

    shape: str
    target: str
    path: str
    other: str
    severity: Severity
    message: str


def extract_constraints(shapes: Graph) -> list[ComparisonConstraint]:
    """Remove all ``sh:lessThanOrEquals`` of class-targeted shapes from a shapes graph, and return
    them.
    """
    constraints = [
        ComparisonConstraint(
            shape=str(shape),
            target=str(target),
            path=str(shapes.value(shape, SH.path)),
            other=str(other),
            severity=Severity(
                str(shapes.value(shape, SH.severity) or SH.Violation).removeprefix(str(SH))
            ),
            message=str(shapes.value(shape, SH.message) or ""),
        )
        for shape, other in shapes.subject_objects(SH.lessThanOrEquals)
        for owner in shapes.subjects(SH.property, shape)
        for target in _targets(shapes, owner)
        if isinstance(shape, URIRef)
    ]
    for constraint in constraints:
        shapes.remove((URIRef(constraint.shape), SH.lessThanOrEquals, None))
    return constraints


def _targets(shapes: Graph, owner: object) -> Iterator[str]:
    if isinstance(owner, URIRef) and (owner, RDF.type, SH.NodeShape) in shapes:
        yield from (str(target) for target in shapes.objects(owner, SH.targetClass))


def check_order(text: str, constraints: list[ComparisonConstraint]) -> Iterator[Result]:
    """Yield the values in *text* (N-Triples) that are too great or cannot be compared."""
    data = ox.Store()
    data.load(text.encode(), format=ox.RdfFormat.N_TRIPLES)
    for constraint in constraints:
        rows = data.query(_QUERY, substitutions=_substitutions(constraint))
        for row in cast(ox.QuerySolutions, rows):
            yield Result(
                focus=row["this"].value,
                path=constraint.path,
                component="LessThanOrEqualsConstraintComponent",
                severity=constraint.severity,
                value=str(row["value"]),
                message=constraint.message,
                shape=constraint.shape,
            )


def _substitutions(
    constraint: ComparisonConstraint,
) -> dict[ox.Variable, ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple]:
    names = {"class": constraint.target, "path": constraint.path, "other": constraint.other}
    return {ox.Variable(name): ox.NamedNode(iri) for name, iri in names.items()}
