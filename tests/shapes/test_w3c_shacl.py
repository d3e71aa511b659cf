"""The W3C SHACL test suite, from its own manifests, by both engines
(https://w3c.github.io/data-shapes/data-shapes-test-suite/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pyoxigraph as ox
import pytest
from pyshacl.errors import ReportableRuntimeError
from rdflib import BNode, Graph, Literal, URIRef
from rdflib.namespace import SH, Namespace
from rdflib.term import Node
from suites import folder

from shapes.reference import graph
from shapes.validate import EngineError, EngineName, Result, compile_shapes

SUITE = folder("w3c-shacl")
MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
SHT = Namespace("http://www.w3.org/ns/shacl-test#")

ResultCounts = Counter[tuple[str, str | None, str, str | None]]

# These cases are known to differ, for the reason that is stated. One that begins to pass fails its
# test, so that this list stays true.
KNOWN = {
    ("rust", "core/misc/severity-002"): "our results know the three severities of SHACL, not a fourth",
    ("reference", "core/misc/severity-002"): "our results know the three severities of SHACL, not a fourth",
    ("rust", "sparql/pre-binding/unsupported-sparql-004"): "shacl validates by a query that a processor should refuse",
    ("reference", "core/property/uniqueLang-002"): 'rdflib takes "1"^^xsd:boolean for true, the suite wants true alone to count',
    ("reference", "sparql/node/prefixes-001"): "pyshacl does not find prefixes that the shapes inherit from an ontology",
    ("reference", "sparql/pre-binding/shapesGraph-001"): "pyshacl has no $shapesGraph",
}  # fmt: skip


@dataclass(frozen=True)
class ShaclCase:
    """One entry of a manifest: its data, its shapes, and the expected results, or None if the
    shapes must be refused.
    """

    name: str
    data: Path
    shapes: Path
    wanted: ResultCounts | None


def _cases(manifest: Path) -> Iterator[ShaclCase]:
    base = manifest.as_uri()
    read = graph(manifest.read_text("utf-8"), ox.RdfFormat.TURTLE, base)
    for include in read.objects(URIRef(base), MF.include):
        yield from _cases(_path(include))
    for entries in read.objects(URIRef(base), MF.entries):
        for entry in read.items(entries):
            action = read.value(entry, MF.action)
            yield ShaclCase(
                name=f"{manifest.parent.relative_to(SUITE)}/{str(entry).rpartition('/')[2].rpartition('#')[2]}",
                data=_path(read.value(action, SHT.dataGraph)),
                shapes=_path(read.value(action, SHT.shapesGraph)),
                wanted=_wanted(read, read.value(entry, MF.result)),
            )


def _path(iri: Node | None) -> Path:
    return Path(str(iri).removeprefix("file://"))


def _wanted(read: Graph, report: Node | None) -> ResultCounts | None:
    if report == SHT.Failure:
        return None
    return Counter(
        (
            _term(read.value(result, SH.focusNode)) or "",
            str(path) if isinstance(path := read.value(result, SH.resultPath), URIRef) else None,
            str(read.value(result, SH.sourceConstraintComponent)).removeprefix(str(SH)),
            _term(read.value(result, SH.value)),
        )
        for result in read.objects(report, SH.result)
    )


def _term(term: Node | None) -> str | None:
    """Write a term so that any blank node equals any other."""
    if term is None or isinstance(term, BNode):
        return term and "_:"
    return term.n3() if isinstance(term, Literal) else str(term)


def result_counts(results: list[Result]) -> ResultCounts:
    def plain(text: str | None) -> str | None:
        return (
            "_:"
            if text and text.startswith("_:")
            else text.strip("<>")
            if text and text.startswith("<")
            else text
        )

    return Counter(
        (plain(result.focus) or "", result.path, result.component, plain(result.value))
        for result in results
    )


CASES = list(_cases(SUITE / "manifest.ttl")) if SUITE.exists() else []


def test_the_suite_is_there() -> None:
    if not SUITE.exists():
        pytest.skip(f"no W3C SHACL suite at {SUITE}")

    assert len(CASES) > 100


@pytest.mark.suite("w3c-shacl")
@pytest.mark.parametrize("name", get_args(EngineName))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_w3c(case: ShaclCase, name: EngineName, request: pytest.FixtureRequest) -> None:
    if known := KNOWN.get((name, case.name)):
        request.applymarker(pytest.mark.xfail(reason=known, strict=True))

    assert _run(case, name) == case.wanted


def _run(case: ShaclCase, name: EngineName) -> ResultCounts | None:
    data = "".join(
        f"{quad.triple} .\n"
        for quad in ox.parse(
            path=case.data, format=ox.RdfFormat.TURTLE, base_iri=case.data.as_uri()
        )
    )
    try:
        engine = compile_shapes(name, case.shapes.read_text("utf-8"), case.shapes.as_uri())
        return result_counts(engine(data))
    except (EngineError, ReportableRuntimeError, ValueError):
        return None
