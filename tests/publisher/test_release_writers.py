"""Writers and terms: whatever may stand in N-Triples is written so that others read the same."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse
from rows import each

from publisher.rdf.ntriples_terms import parse_term
from publisher.releases.dump import TEXT_FORMATS, write_json_lines, write_texts
from web.formats import GRAPHS

S, P = NamedNode("https://x.org/s"), NamedNode("https://x.org/p#q")
OBJECTS: list[NamedNode | Literal] = [
    NamedNode("https://x.org/ü?a=1&b='c'"), Literal("plain"), Literal('quotes " and \\ and \\" and ends in \\'),
    Literal("lines\n\r\ttabs \b \f \x00 \x1f \x7f"), Literal("中文 😀 \ufffe"), Literal("chat", language="zh-hans"),
    Literal("1.5", datatype=NamedNode("http://www.w3.org/2001/XMLSchema#decimal")), Literal('"@en'), Literal(""),
]  # fmt: skip
ODD = [rb'"\U0001F600"', rb'"it\'s"', rb'"\\U0001F600"', rb'"\\\'"']


def test_every_term_survives_every_form(tmp_path: Path) -> None:
    triples = [Triple(S, P, item) for item in OBJECTS] + [
        Triple(S, NamedNode("http://purl.org/dc/terms/title"), Literal("t"))
    ]

    written = write_texts(
        sorted(
            f"{triple} <https://x.org/g{graph}> .\n".encode()
            for triple in triples
            for graph in (1, 2)
        ),
        tmp_path,
        "all",
    )

    assert (written.quads, written.triples) == (2 * len(triples), len(triples))
    for form in TEXT_FORMATS:
        text = gzip.decompress((tmp_path / f"all.{form}.gz").read_bytes())
        read = [quad.triple for quad in parse(text, GRAPHS[form].writer)]
        assert (len(read), set(read)) == (len(triples), set(triples))


@each("term", [str(item).encode() for item in OBJECTS] + ODD)
def test_a_term_is_read_as_the_engine_reads_it(term: bytes) -> None:
    (quad,) = parse(b"<https://x.org/s> <https://x.org/p> " + term + b" .", RdfFormat.N_TRIPLES)

    item = parse_term(term)

    known = quad.object
    assert item.text == known.value
    assert item.iri == isinstance(known, NamedNode)
    assert item.language == getattr(known, "language", None)


@each("longest", [1, 2, 3, 7, 1000])
def test_a_subject_a_line_and_one_with_many_triples_on_several(longest: int) -> None:
    triples = [
        Triple(NamedNode(f"https://x.org/{subject}"), P, Literal(f"{value:02}"))
        for subject in "abc"
        for value in range(5)
    ]
    out = io.BytesIO()

    count = write_json_lines(triples, out, longest)

    first, *lines, last, end = out.getvalue().split(b"\n")
    assert (count, first, last, end) == (15, b"[", b"]", b"")
    subjects = [json.loads(line.rstrip(b","))["@id"][-1] for line in lines]
    assert subjects == sorted("abc" * -(-5 // longest))
    assert {quad.triple for quad in parse(out.getvalue(), RdfFormat.JSON_LD)} == set(triples)
