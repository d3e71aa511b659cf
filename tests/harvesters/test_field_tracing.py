from __future__ import annotations

from typing import Any

from lxml import etree
from pyoxigraph import Literal, NamedNode
from rows import each

from harvesters.mappings.fields import FieldTracing, fields_of
from harvesters.page_model import Record
from harvesters.payloads.graph import Graph


def mapped(record: Record[Any]) -> frozenset[str]:
    row = record.payload
    countries = {
        f'<a> <spatial> "{position["iso"]}"'
        for position in row.get("places", [])
        if "iso" in position
    }
    return frozenset({f'<a> <title> "{row["name"]}"', *countries})


def test_each_statement_is_traced_to_the_field_that_gave_it() -> None:
    row = {"name": "Clinics", "places": [{"iso": "KE", "note": "x"}], "budget": 7}

    tracing = FieldTracing(Record("a", row, b""), mapped, (KeyError,))

    assert {trace.name: trace.is_read for trace in tracing.traces} == {
        "name": True, "places[].iso": True, "places[].note": False, "budget": False,
    }  # fmt: skip
    assert [trace.name for trace in tracing.fields_behind('<a> <spatial> "KE"')] == [
        "places[].iso",
        "name",
    ]
    assert row == {"name": "Clinics", "places": [{"iso": "KE", "note": "x"}], "budget": 7}


def test_field_without_which_a_record_cannot_be_mapped_is_required() -> None:
    traces = FieldTracing(Record("a", {"name": "Clinics"}, b""), mapped, (KeyError,)).traces

    assert [trace.is_required for trace in traces] == [True]


def test_xml_is_as_before_after_it_was_traced() -> None:
    text = '<r xmlns:x="urn:x"><x:title lang="en">Clinics<b/> </x:title><x:title>Two</x:title></r>'
    root = etree.fromstring(text)

    def statements(record: Record[Any]) -> frozenset[str]:
        return frozenset(
            f"{element.text}@{element.get('lang')}" for element in record.payload if element.text
        )

    traces = FieldTracing(Record("a", root, b""), statements, (ValueError,)).traces

    assert [(trace.name, sorted(trace.statements)) for trace in traces] == [
        ("title/@lang", ["Clinics@en"]),
        ("title", ["Clinics@en", "Two@None"]),
    ]
    assert etree.tostring(root).decode() == text


def test_properties_of_a_graph_are_named_by_their_prefixes() -> None:
    node = NamedNode("urn:a")
    graph = Graph(node, {node: {"http://purl.org/dc/terms/title": (Literal("Clinics"),)}})

    assert fields_of(graph) == {"dct:title": ["Clinics"]}


@each("value", [None, "", [], {}])
def test_field_without_a_value_is_no_field(value: object) -> None:
    assert fields_of({"a": value}) == {}
