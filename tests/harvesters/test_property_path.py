from __future__ import annotations

import pytest
from pyoxigraph import BlankNode, Literal, NamedNode
from rdf_terms import value
from rows import each

from harvesters.errors import SourceDefinitionError
from harvesters.payloads.graph import Graph, iri
from harvesters.payloads.paths import compile_property_path

A = NamedNode("https://registry.example/a")
ORG = NamedNode("https://registry.example/org")
PLACE = BlankNode("p")
GRAPH = Graph(
    A,
    {
        A: {
            iri("dct:title"): (Literal("Wells", language="en"), Literal("Puits", language="fr")),
            iri("dct:publisher"): (ORG,),
            iri("dct:creator"): (ORG, Literal("nobody")),
            iri("dct:spatial"): (PLACE,),
        },
        ORG: {iri("foaf:name"): (Literal("Water"),), "https://terms.example/x": (A,)},
        PLACE: {iri("dct:identifier"): (Literal("KE"),)},
    },
)


@each(
    "path, values",
    [("dct:title", ["Wells", "Puits"]), ("dct:publisher/foaf:name", ["Water"]), ("(dct:creator|dct:publisher)/foaf:name", ["Water"]),
     ("foaf:name | dct:title", ["Wells", "Puits"]), ("foaf:name || dct:spatial/dct:identifier || dct:title", ["KE"]), ("dct:spatial", []),
     ("dct:publisher", ["https://registry.example/org"]), (".", ["https://registry.example/a"]), ("'project'", ["project"]), ("a", []),
     ("dct:publisher / <https://terms.example/x> / t:none", []), ("dct:publisher/t:x/dct:title", ["Wells", "Puits"])],
)  # fmt: skip
def test_a_path_finds_what_sparqls_would(path: str, values: list[str]) -> None:
    assert [
        value(term)
        for term in compile_property_path(path, "", {"t": "https://terms.example/"})(GRAPH)
    ] == values


@each(
    "path, why",
    [("", "a property is missing at the end"), ("dct:title/", "a property is missing at the end"),
     ("dct:title ||", "a property is missing at the end"), ("dct:title dct:b", "a / or | is missing before"),
     ("nope:title", "the prefix 'nope' is not known"), ("(dct:title", "brackets hold"), ("(dct:title/dct:b)", "brackets hold"),
     ("name", "no path at character 1"), ("dct:title[1]", "no path at character 10"), ("/dct:title", "a property is missing before '/'")],
)  # fmt: skip
def test_what_is_no_path_is_reported_with_its_field(path: str, why: str) -> None:
    with pytest.raises(
        SourceDefinitionError,
        match=rf"a: field 'title'.*{why.replace('|', '[|]').replace('(', '[(]')}",
    ):
        compile_property_path(path, "a: field 'title'")
