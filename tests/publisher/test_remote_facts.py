"""Facts of a store elsewhere: what will be read is asked for many graphs at a time."""

from __future__ import annotations

import io
from email.message import Message
from typing import Any

import pytest
from pyoxigraph import Literal, NamedNode, Quad, QueryResultsFormat, Store
from rdf_terms import solutions

from publisher.store.external import remote_quads
from publisher.store.external.client import EndpointError
from publisher.store.external.engine_quirks import STANDARD
from publisher.store.external.remote_quads import RemoteQuads

GRAPHS = [f"http://graph.example/{number}" for number in range(250)]


class Answer(io.BytesIO):
    headers = Message()


class CountingEndpoint:
    """A store with two statements in each of GRAPHS, that counts its questions and refuses more
    than *most* graphs in one.
    """

    def __init__(self, most: int = 1000) -> None:
        self.request_log, self.most = 0, most
        self.store = Store()
        self.store.extend(
            Quad(
                NamedNode(f"{graph}#{part}"),
                NamedNode("http://p.example/"),
                Literal(graph),
                NamedNode(graph),
            )
            for graph in GRAPHS
            for part in "ab"
        )

    def ask(self, query: str, accept: str) -> Answer:
        self.request_log += 1
        if query.count("<http://graph.example/") > self.most:
            raise EndpointError("StoreFailure", "the store gives only a part of the rows")
        result = solutions(self.store.query(query)).serialize(format=QueryResultsFormat.JSON)
        assert result
        return Answer(result)


def read(endpoint: CountingEndpoint) -> list[set[Quad]]:
    client: Any = endpoint
    known = RemoteQuads(client, STANDARD)
    known.expect(GRAPHS, ())
    return [set(known.quads_for_pattern(None, None, None, NamedNode(graph))) for graph in GRAPHS]


@pytest.mark.parametrize(("most", "questions"), [(1000, 3), (30, 11)])
def test_graphs_that_are_expected_are_asked_for_together_and_fewer_where_the_store_ends_early(
    most: int, questions: int
) -> None:
    endpoint = CountingEndpoint(most)

    result = read(endpoint)

    assert result == [
        set(endpoint.store.quads_for_pattern(None, None, None, NamedNode(graph)))
        for graph in GRAPHS
    ]
    assert endpoint.request_log == questions


def test_a_graph_that_nobody_expected_is_asked_for_by_itself() -> None:
    endpoint = CountingEndpoint()
    client: Any = endpoint
    known = RemoteQuads(client, STANDARD)

    results = set(known.quads_for_pattern(None, None, None, NamedNode(GRAPHS[7])))

    assert (len(results), endpoint.request_log, remote_quads.GRAPHS) == (2, 1, 100)


def test_a_store_that_gives_not_even_one_graph_whole_says_so() -> None:
    with pytest.raises(EndpointError):
        read(CountingEndpoint(0))
