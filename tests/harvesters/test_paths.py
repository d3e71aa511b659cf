from __future__ import annotations

import pytest
from pyoxigraph import BlankNode, Literal, NamedNode
from rdf_terms import value
from rows import each

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import Payload
from harvesters.payloads.graph import Graph, iri
from harvesters.payloads.paths import compile_jmespath, compile_path, compile_property_path
from harvesters.payloads.value_parsing import as_list
from harvesters.reasons import Reason

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
    [("", "path at character 1:"), ("dct:title/", "path at character 10:"),
     ("dct:title ||", "path at character 13:"), ("dct:title dct:b", "path at character 11:"),
     ("nope:title", "the prefix 'nope' is not known"), ("(dct:title", "path at character 1:"),
     ("(dct:title/dct:b)", "path at character 1:"),
     ("name", "path at character 1"), ("dct:title[1]", "path at character 10"), ("/dct:title", "path at character 1:")],
)  # fmt: skip
def test_what_is_no_path_is_reported_with_its_field(path: str, why: str) -> None:
    with pytest.raises(
        SourceDefinitionError,
        match=rf"a: field 'title'.*{why.replace('|', '[|]').replace('(', '[(]')}",
    ):
        compile_property_path(path, "a: field 'title'")


@pytest.mark.parametrize(
    ("text", "error"),
    [("a..b", "parse error"), ("(" * 3000 + "a" + ")" * 3000, "recursion")],
    ids=["syntax", "depth"],
)
def test_what_is_no_path_is_refused(text: str, error: str) -> None:
    with pytest.raises(
        SourceDefinitionError, match=rf"(?i)here: '.*' is not a JMESPath expression: .*{error}"
    ):
        compile_jmespath(text, "here")


@pytest.mark.parametrize("text", ["length(a)", "sort_by(@, &b)", "no_function(a)"])
def test_a_function_that_does_not_take_the_value_is_a_fault_of_the_record(text: str) -> None:
    find = compile_jmespath(text, "here")

    with pytest.raises(ParseError, match=r"here: '.*' does not fit the record: "):
        find({"a": None})


@pytest.mark.parametrize("path", ["a", "a.b", "a[0]", "a[1].b", "a.b[0]"])
def test_names_and_indexes_are_followed_as_jmespath_does(path: str) -> None:
    values = (None, "text", [1], [1, {"b": [2]}], {"b": [3]}, {"b": {"0": 4}})
    rows = [{}, *({"a": value} for value in values)]
    find, expected = compile_path(path, Reason("here"), Payload.ROW, {}), compile_jmespath(path)

    assert [find(row) for row in rows] == [as_list(expected(row)) for row in rows]
