"""The properties that the facet tables are made of, each with its name in the SQL files."""

from __future__ import annotations

from publisher.data.properties import namespaces, published_properties
from publisher.projections.facets.facets import BITS, FACETS
from vocab.initiative import Basis
from vocab.iris import KINDS, Iris
from vocab.terms import RDF

WITHOUT_TEXTS = ("description", "content")  # of their values only the languages count


def kind_number(kind: str) -> int:
    """Return the number of a kind in the tables."""
    return KINDS.index(kind) + 1


def named_properties(iris: Iris) -> list[tuple[str, str, bool, bool]]:
    """Return IRI and name of each property, whether it is read of organizations (else from the
    graphs of records), and whether its texts are stored.
    """
    spaces = namespaces(iris)
    return [
        (f"{RDF}type", "class", True, True),
        *(
            (
                row.expand(spaces),
                row.facet.name,
                of == "organization",
                row.facet.name not in WITHOUT_TEXTS,
            )
            for row in published_properties()
            if row.facet
            for of in row.facet.of
        ),
    ]


def coded_properties(iris: Iris) -> list[tuple[str, str, str, str, bool, int, str]]:
    """Return the properties whose values count in facets: name, of what (a thing or a part of it or
    of its record), facet, the prefix that the codes follow in IRIs, whether texts count too, the
    bits of its basis, and the basis, "" if it has none.
    """
    coded = list[tuple[str, str, str, str, bool, int, str]]()
    for row in published_properties():
        if row.facet and row.facet.counts:
            name = row.facet.name
            facet = "stakeholder" if name == "classification" else name.partition("-")[0]
            prefix = FACETS[facet].full_prefix(iris)
            bits = BITS[Basis(row.basis)] if row.basis else sum(BITS.values())
            coded.append((name, row.facet.counts, facet, prefix, not prefix, bits, row.basis))
    return coded
