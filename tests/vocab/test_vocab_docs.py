from __future__ import annotations

import re
from pathlib import Path

import pyoxigraph
import pytest
from generated import generate
from rows import each

from vocab.iris import Iris
from vocab.schemes import schemes, statements

NAME = "reference/vocabulary"
PAGE = generate(
    NAME, (Path(__file__).parents[2] / "docs" / f"{NAME}.md").read_text(encoding="utf-8")
)


@each("scheme", schemes())
def test_every_scheme_has_a_heading(scheme: str) -> None:
    assert f"\n### {scheme}\n" in PAGE


@pytest.mark.parametrize(("prefix", "ns"), [("wsis", Iris().ns), ("ops", Iris().operations)])
def test_the_tables_of_terms_have_every_term_of_the_ontologies(prefix: str, ns: str) -> None:
    ontology = dict(statements())[ns.removesuffix("#")]
    declared = {
        line.split("> ")[0].removeprefix(f"<{ns}") for line in ontology if line.startswith(f"<{ns}")
    }

    assert set(re.findall(rf"^\| `{prefix}:(\w+)` \|", PAGE, re.MULTILINE)) == declared


def test_the_example_of_a_crosswalk_is_good_turtle() -> None:
    (example,) = re.findall(r"```turtle\n(.*?)```", PAGE, re.DOTALL)

    parsed = list(
        pyoxigraph.parse(example, format=pyoxigraph.RdfFormat.TURTLE, base_iri=Iris().base)
    )

    assert len(parsed) == 9
