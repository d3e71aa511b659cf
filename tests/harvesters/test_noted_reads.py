from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import replay
from lxml import etree, html
from pyoxigraph import Literal, NamedNode
from record_fields import without_each_field
from replay import crosswalks
from rows import each

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import Record
from harvesters.payloads.graph import Graph
from harvesters.payloads.paths import compile_jmespath, fields_of, find_elements, noting
from harvesters.pipeline.record_processor import MAPPING_ERRORS, check_compatible
from harvesters.source import load
from vocab.describe import describe

FOLDERS = sorted((Path(__file__).parent / "replies").iterdir())


def test_fields_of_a_row_that_are_asked_for_are_noted() -> None:
    row = {"name": "Clinics", "places": [{"iso": "KE", "note": "x"}], "tags": ["a"], "budget": 7}

    with noting() as reads:
        view = reads.view(row)
        values = [view["name"], view.get("tags"), compile_jmespath("places[].iso")(view)]

    assert values == ["Clinics", ["a"], ["KE"]]
    assert view == row
    assert {name: reads.has(name) for name in fields_of(row)} == {
        "name": True, "places[].iso": True, "places[].note": False, "tags[]": True, "budget": False,
    }  # fmt: skip


def test_copy_of_a_row_notes_what_is_read_of_it() -> None:
    with noting() as reads:
        copy = type(view := reads.view({"a": 1, "b": 2, "c": 3}))(view)
        copied = {**copy} if copy.get("a") == 2 else copy["b"]

    assert copied == 2
    assert [reads.has(name) for name in ("a", "b", "c")] == [True, True, False]


def test_texts_and_attributes_that_are_read_are_noted_and_xml_stays_as_it_was() -> None:
    text = '<p a="1"><r><title lang="en">Clinics<b/></title><c x="1" y="2">5</c><d>6</d></r></p>'
    root = etree.fromstring(text)[0]

    with noting() as reads:
        view = reads.view(root)
        values = find_elements(view, "title | c[@x='1']/@y | ../@a")
        assert [values[0], values[1].text, values[2]] == ["1", "Clinics", "2"]

    assert etree.tostring(root.getroottree()).decode() == text
    assert {name: reads.has(name) for name in fields_of(root)} == {
        "title/@lang": False, "title": True, "c/@x": True, "c/@y": True, "c": False, "d": False,
    }  # fmt: skip


def test_view_of_a_web_page_has_its_elements_in_their_places() -> None:
    page = '<p @click="x" :foo=1>x & y<br>k</p><!-- a -- b --><o:p>o</o:p><ul><li>1<li>2</ul>'
    root = html.document_fromstring(page)

    with noting() as reads:
        texts = ["".join(reads.view(node).itertext()) for node in root.iter("*")]

    assert texts == ["".join(map(str, node.itertext())) for node in root.iter("*")]


def test_properties_of_a_graph_are_named_by_their_prefixes() -> None:
    node = NamedNode("urn:a")
    graph = Graph(node, {node: {"http://purl.org/dc/terms/title": (Literal("Clinics"),)}})

    assert fields_of(graph) == {"dct:title": ["Clinics"]}


@each("value", [None, "", [], {}])
def test_field_without_a_value_is_no_field(value: object) -> None:
    assert fields_of({"a": value}) == {}


@each("folder", FOLDERS)
def test_every_field_that_changes_a_description_is_noted(folder: Path) -> None:
    source, words = load(folder / "source.toml"), crosswalks()
    protocol, _ = check_compatible(source)
    with Fetch(NetworkSettings(transport=replay.played(folder)), pause=0, robots=False) as fetch:
        pages = protocol.collect(source, fetch, None)
        records = [item for page in pages for item in page.items if isinstance(item, Record)]
    plain = MAPPINGS[source.mapping].prepare(source, words)

    def description(record: Record[Any], payload: Any, mapper: Any = plain) -> Any:
        try:
            mapped = mapper(replace(record, content=payload))
        except (ParseError, *MAPPING_ERRORS) as error:
            return type(error)
        return describe(mapped, words.iris, source.name)

    for record in records[:3]:
        payload = record.payload
        whole = description(record, payload)
        with noting() as reads:
            noted = MAPPINGS[source.mapping].prepare(source, words)
            assert description(record, reads.view(payload), noted) == whole
        fields = {field: {field, *re.split(r"[/.\[\]]+", field)} for field in fields_of(payload)}
        for name, rest in without_each_field(payload):
            key = name.partition(".")[0] if isinstance(payload, dict) else name
            same = [field for field, names in fields.items() if key in names]
            if same and description(record, rest) != whole:
                assert any(map(reads.has, same)), name
