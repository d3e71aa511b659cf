"""Each has a point as GeoSPARQL says, and the queries of the docs find it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pyoxigraph import QuerySolutions, RdfFormat, Store

from vocab.initiative import Initiative, Place, Text
from vocab.iris import Iris
from vocab.statements.describe import describe

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "search.md"
QUERIES = re.findall(
    r"```sparql\n(.*?)```",
    DOCS.read_text(encoding="utf-8").partition("## Places")[2].partition("\n## ")[0],
    re.DOTALL,
)


@pytest.fixture
def store() -> Store:
    """Return a place in Nairobi and one in Geneva."""
    spots = {
        "nairobi": Place(Text("Nairobi", "en"), -1.2921, 36.8219),
        "geneva": Place(None, 46.2044, 6.1432),
    }
    results = [
        line
        for key, spot in spots.items()
        for line in describe(Initiative(key=key, places=(spot,)), Iris(), "demo")
    ]
    created = Store()
    created.load("".join(f"{line} .\n" for line in results).encode(), RdfFormat.N_TRIPLES)
    return created


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_of_the_docs_find_what_is_near_and_nothing_else(
    store: Store, query: Any
) -> None:
    result = store.query(query)

    assert isinstance(result, QuerySolutions)
    assert [row["thing"].value.rpartition("/")[2] for row in result] == ["nairobi"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [('geof:sfWithin(?spot, "POLYGON((30 -5,40 -5,40 5,30 5,30 -5))"^^geo:wktLiteral)', {"nairobi": "true", "geneva": "false"}),
     ('geof:sfIntersects(?spot, "POLYGON((30 -5,40 -5,40 5,30 5,30 -5))"^^geo:wktLiteral)', {"nairobi": "true", "geneva": "false"}),
     ('geof:sfContains("POLYGON((5 45,7 45,7 47,5 47,5 45))"^^geo:wktLiteral, ?spot)', {"nairobi": "false", "geneva": "true"}),
     ('REPLACE(STR(geof:asGeoJSON(?spot)), ".*coordinates", "")', {"nairobi": '":[36.8219,-1.2921]}', "geneva": '":[6.1432,46.2044]}'})],
    ids=lambda value: value.partition("(")[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_each_function_that_the_docs_name_gives_its_value(
    store: Store, expression: str, expected: dict[str, str]
) -> None:
    spaces = "PREFIX geo: <http://www.opengis.net/ont/geosparql#> PREFIX geof: <http://www.opengis.net/def/function/geosparql/>"
    spot = "?thing <https://schema.org/location>/geo:hasGeometry/geo:asWKT ?spot"
    query = f"{spaces} SELECT ?thing ?value {{ {spot} BIND({expression} AS ?value) }}"

    result = store.query(query)

    assert isinstance(result, QuerySolutions)
    assert {row["thing"].value.rpartition("/")[2]: row["value"].value for row in result} == expected
