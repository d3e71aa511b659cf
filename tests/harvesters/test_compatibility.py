from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field
from rows import each
from simulated import define_source

from harvesters.errors import SourceDefinitionError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.options import LazyRegistry, Options, Positive, Regex, Texts, one_of
from harvesters.page_model import Payload
from harvesters.pipeline.record_processor import check_compatible, compatibility_faults
from harvesters.protocols.protocol import PROTOCOLS, Protocol

FIELDS = {"title": "name"}


def test_a_good_definition_gives_its_protocol_and_mapping() -> None:
    protocol, reader = check_compatible(define_source("csv", options={"key": "No", "split": ";"}))

    assert protocol.payload_type is PROTOCOLS["csv"].payload_type
    assert reader is MAPPINGS["fields"]


@each(
    "definition, message",
    [({"protocol": "oai"}, "protocol 'oai' is unknown; did you mean 'oai-pmh'?"),
     ({"mapping": "dc"}, "mapping 'dc' is unknown; known are "),
     ({"mapping": "oai_dc"}, "cannot read the payload of protocol 'json', a JSON object or a table's row; these can: ckan_package"),
     ({"protocol": "oai-pmh", "mapping": "ckan_package"}, "'oai-pmh', an XML element; these can: oai_dc"),
     ({"options": {"pages": "p"}}, "unknown option 'pages' of json with fields; did you mean 'page'?"),
     ({"options": {"size": "10"}}, "option 'size' is '10'; write a whole number"),
     ({"options": {"size": True}}, "option 'size' is True; write a whole number"),
     ({"options": {"size": -1}}, "option 'size' is -1; write a number from 1 up"),
     ({"protocol": "csv", "options": {"key": 3}}, "option 'key' is 3; write text or a list"),
     ({"protocol": "csv", "options": {"digest": [1]}}, "write a list of texts"),
     ({"protocol": "oai-pmh", "mapping": "oai_dc", "options": {"kind": "thing"}}, "option 'kind' is 'thing'; use one of initiative"),
     ({"mapping": "dpg_nominee", "fields": FIELDS}, "[fields] is for mapping 'fields'"), ({"fields": {}}, "needs a [fields] table"),
     ({"fields": {"name": "x"}}, "unknown field 'name'; known are action_lines"),
     ({"fields": {"start@en": "x"}}, "field 'start@en' takes no language"), ({"fields": {"title@!": "x"}}, "unknown field 'title@!'"),
     ({"fields": {"title": "a["}}, "field 'title': 'a[' is not a JMESPath"),
     ({"fields": {"kind": "thing"}}, "field 'kind' is 'thing'; use one of initiative, event, document, post"),
     ({"fields": {"kind": "document", "start": "x"}}, "unknown field 'start'"),
     ({"protocol": "oai-pmh", "fields": {"title": "//["}}, "field 'title': '//[' is not an XPath"),
     ({"protocol": "oai-pmh", "fields": {"key": "x"}}, "the protocol's own identifier is the key"),
     ({"options": {"page": "p", "files": "f"}}, "both define paging")],
)  # fmt: skip
def test_a_definition_that_cannot_work_is_refused(definition: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceDefinitionError, match=re.escape(message)) as error:
        check_compatible(define_source(**definition))

    assert str(error.value).startswith("a: ")


def test_all_faults_of_a_definition_are_reported_at_once() -> None:
    definition = {"options": {"size": "10", "pages": 1}, "fields": {"titel": "x", "key": "["}}

    faults = compatibility_faults(define_source(**definition))

    assert [
        fault.text.partition(": ")[2].partition(";")[0].partition(": I")[0] for fault in faults
    ] == [
        "option 'size' is '10'",
        "unknown option 'pages' of json with fields",
        "unknown field 'titel'",
        "field 'key': '[' is not a JMESPath expression",
    ]


@each(
    "definition, incremental",
    [({"protocol": "oai-pmh", "mapping": "oai_dc"}, True), ({"protocol": "ckan", "mapping": "ckan_package"}, True),
     ({"protocol": "ckan", "mapping": "ckan_package", "url": "https://registry.example/data.json"}, False), ({"protocol": "json"}, False),
     ({"protocol": "json", "options": {"since": "changed_since"}}, True), ({"protocol": "csv"}, False)],
)  # fmt: skip
def test_a_protocol_is_incremental_where_this_registry_can_be_asked_since(
    definition: dict[str, Any], incremental: bool
) -> None:
    assert check_compatible(define_source(**definition))[0].incremental is incremental


class _ExampleOptions(Options):
    """One option of each type that a protocol may declare."""

    method: Annotated[str, one_of(("get", "post"))] = Field("get", description="How to request.")
    sheet: str | Positive = Field(1, description="The sheet.")
    only: Regex = Field("", description="What addresses contain.")
    join: dict[str, str] = Field({}, description="Sheets and their keys.")
    key: Texts = Field(description="The key.")


@each(
    "options, fault",
    [({"method": "put"}, "option 'method' is 'put'; use one of get, post"),
     ({"sheet": []}, "option 'sheet' is []; write text or a whole number"),
     ({"sheet": 0}, "option 'sheet' is 0; write text or a number from 1 up"), ({"only": "("}, "option 'only' is no regular expression: "),
     ({"join": {"a": 1}}, "option 'join.a' is 1; write text"), ({"join": 1}, "option 'join' is 1; write a TOML table"),
     ({"key": 1}, "option 'key' is 1; write text or a list"), ({"key": ["a", 1, 2]}, "option 'key' is ['a', 1, 2]; write a list of texts")],
)  # fmt: skip
def test_an_option_of_another_kind_is_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(SourceDefinitionError, match=re.escape(f"a: {fault}")) as error:
        _ExampleOptions.of(define_source(options={"key": "id"} | options))

    assert len(error.value.faults) == 1


def test_all_faults_of_options_are_reported_at_once() -> None:
    with pytest.raises(SourceDefinitionError) as error:
        _ExampleOptions.of(define_source(options={"sheet": 0, "join": {"a": 1, "b": 2}}))

    assert [fault.text.partition(";")[0] for fault in error.value.faults] == [
        "a: option 'sheet' is 0",
        "a: option 'join.a' is 1",
        "a: option 'join.b' is 2",
        "a: option 'key' is missing: The key.",
    ]


JSON_LINES = """from harvesters.options import Options
from harvesters.page_model import Payload
from harvesters.protocols.protocol import Protocol

PROTOCOL = Protocol(lambda *arguments: iter(()), Payload.ROW, Options, incremental=False)
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Protocol]:
    """Return the program's protocols and those of an installed package."""
    package = tmp_path / "stocktake_more-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: stocktake-more\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[stocktake.protocols]\njson-lines = more_lines:PROTOCOL\nwrong = more_lines:Payload\n"
        "absent = more_nothing:PROTOCOL\ncsv = more_lines:PROTOCOL\n"
    )
    (tmp_path / "more_lines.py").write_text(JSON_LINES)
    monkeypatch.syspath_prepend(tmp_path)
    modules = {"csv": "harvesters.protocols.csv_file"}
    return LazyRegistry(modules, "PROTOCOL", "stocktake.protocols", Protocol)


def test_a_protocol_of_an_installed_package_is_one_but_takes_no_name(
    registry: Mapping[str, Protocol],
) -> None:
    assert [*registry] == ["csv", "absent", "json-lines", "wrong"]
    assert registry["json-lines"].payload_type is Payload.ROW
    assert registry["csv"] is PROTOCOLS["csv"]
    assert ("json-lines" in registry, "none" in registry) == (True, False)


@each(
    "name, fault",
    [("absent", "ModuleNotFoundError: No module named 'more_nothing'"), ("wrong", "more_lines:Payload is no Protocol")],
)  # fmt: skip
def test_a_protocol_that_cannot_be_imported_names_its_package(
    registry: Mapping[str, Protocol], name: str, fault: str
) -> None:
    message = f"the plugin '{name}' of the package stocktake-more cannot be used: {fault}; update the package"
    with pytest.raises(SourceDefinitionError, match=re.escape(message)):
        registry[name]
