"""W3C's tests of RDF syntaxes: the reader of harvested RDF reads valid documents correctly. It need
not refuse invalid ones: it is lenient, since publishers make mistakes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pyoxigraph import CanonicalizationAlgorithm, Dataset, NamedNode, Quad, RdfFormat, parse
from suites import folder

from harvesters.payloads.rdf_parser import parse_quads

SUITE = folder("w3c-rdf")
MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
# The files of each suite are read with this base IRI, on which the results depend.
BASES = {
    "turtle": "http://www.w3.org/2013/TurtleTests/",
    "trig": "http://www.w3.org/2013/TriGTests/",
    "ntriples": "",
    "nquads": "",
    "rdf-xml": "http://www.w3.org/2013/RDFXMLTests/",
}
# The reader keeps an XML literal as it was written; the test wants it in canonical form.
KNOWN = {"rdf-xml/xml-canon/test001.rdf"}


def read(file: Path, base: str) -> Dataset:
    syntax = RdfFormat.from_extension(file.suffix[1:])
    assert syntax
    dataset = Dataset(parse_quads(file.read_bytes(), syntax, file.name, base or None))
    dataset.canonicalize(CanonicalizationAlgorithm.UNSTABLE)
    return dataset


def rows(manifest: Path) -> list[tuple[str, Path, Path | None]]:
    quads = Dataset(parse(path=str(manifest), base_iri=manifest.as_uri()))

    def file(node: Quad, name: str) -> Path | None:
        described = quads.quads_for_subject(node.subject)
        values = [quad.object for quad in described if quad.predicate.value == MF + name]
        return Path(values[0].value.removeprefix("file://")) if values else None  # type: ignore[union-attr]

    return [
        (quad.object.value.rpartition("#")[2], action, file(quad, "result"))
        for quad in quads
        if quad.predicate == TYPE and (action := file(quad, "action"))
    ]


@pytest.mark.suite("w3c-rdf")
@pytest.mark.parametrize("syntax", BASES)
def test_every_right_document_is_read_as_the_suite_wants(syntax: str) -> None:
    home = SUITE / syntax
    if not home.exists():
        pytest.skip(f"no W3C tests of RDF at {home}")
    failed, count = {}, 0

    for kind, file, result in rows(home / "manifest.ttl"):
        if "Negative" in kind:
            continue
        count += 1
        base = BASES[syntax] and BASES[syntax] + str(file.relative_to(home))
        try:
            if read(file, base) != (read(result, "") if result else read(file, base)):
                failed[str(file.relative_to(SUITE))] = "other statements"
        except Exception as error:
            failed[str(file.relative_to(SUITE))] = str(error)

    assert {name: why for name, why in failed.items() if name not in KNOWN} == {}
    assert count > 30
