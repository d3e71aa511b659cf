"""Writers and terms: whatever may stand in N-Triples is written so that others read the same."""

from __future__ import annotations

import pytest
from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse
from rows import each

from publisher.rdf.ntriples_terms import parse_term
from publisher.releases.dump import TEXT_FORMATS, stream_in_chunks

S, P = NamedNode("https://x.org/s"), NamedNode("https://x.org/p#q")
OBJECTS: list[NamedNode | Literal] = [
    NamedNode("https://x.org/ü?a=1&b='c'"), Literal("plain"), Literal('quotes " and \\ and \\" and ends in \\'),
    Literal("lines\n\r\ttabs \b \f \x00 \x1f \x7f"), Literal("中文 😀 \ufffe"), Literal("chat", language="zh-hans"),
    Literal("1.5", datatype=NamedNode("http://www.w3.org/2001/XMLSchema#decimal")), Literal('"@en'), Literal(""),
]  # fmt: skip
ODD = [rb'"\U0001F600"', rb'"it\'s"', rb'"\\U0001F600"', rb'"\\\'"']


@pytest.mark.parametrize("form", ["nt", "ttl", "jsonld"])
def test_every_term_survives_every_form(form: str) -> None:
    triples = [Triple(S, P, item) for item in OBJECTS] + [
        Triple(S, NamedNode("http://purl.org/dc/terms/title"), Literal("t"))
    ]
    row = TEXT_FORMATS[form]

    lines = sorted(str(triple).encode() for triple in triples)
    text = row.head + row.subject(lines, [tuple(item.split(b" ", 2)) for item in lines]) + row.tail
    read = {
        quad.triple
        for quad in parse(
            text,
            {"nt": RdfFormat.N_TRIPLES, "ttl": RdfFormat.TURTLE, "jsonld": RdfFormat.JSON_LD}[form],
        )
    }

    assert read == set(triples)


@each("term", [str(item).encode() for item in OBJECTS] + ODD)
def test_a_term_is_read_as_the_engine_reads_it(term: bytes) -> None:
    (quad,) = parse(b"<https://x.org/s> <https://x.org/p> " + term + b" .", RdfFormat.N_TRIPLES)

    item = parse_term(term)

    known = quad.object
    assert item.text == known.value
    assert item.iri == isinstance(known, NamedNode)
    assert item.language == getattr(known, "language", None)


def line(value: int, graph: int) -> bytes:
    return (
        f'<https://x.org/s> <https://x.org/p> "{value:04}" <https://x.org/g{graph:04}> .\n'.encode()
    )


@each("most", [1, 2, 3, 7, 1000])
def test_a_subject_with_more_triples_than_are_held_is_reported_in_parts_each_triple_once(
    most: int,
) -> None:
    lines = [line(value, graph) for value in range(20) for graph in range(value % 4 + 1)]
    chunks: list[bytes] = []

    results = list(stream_in_chunks(lines, chunks.extend, most))

    assert chunks == lines
    assert [item for part in results for item in part] == [
        b'<https://x.org/s> <https://x.org/p> "%04d"' % value for value in range(20)
    ]
    assert max(map(len, results)) < 2 * most


def test_triples_that_thousands_of_graphs_repeat_come_at_once() -> None:
    lines = [line(value, graph) for value in range(3) for graph in range(50)]

    assert [len(part) for part in stream_in_chunks(lines, lambda _: None, 10)] == [3]
