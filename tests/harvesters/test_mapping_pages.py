from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import replay
from record_fields import fields_of, without_each_field
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source, load
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris

FOLDERS = sorted((Path(__file__).parent / "replies").iterdir())
PAGES = Path(__file__).parents[2] / "docs" / "reference" / "mappings"
# These mappings read the fields of a fixed schema; a [fields] table names its own.
NAMED = sorted(set(MAPPINGS) - {"fields", "stocktake_record"})


def records(folder: Path) -> list[tuple[Record[Any], Source]]:
    source = load(folder / "source.toml")
    protocol, _ = check_compatible(source)
    with Fetch(NetworkSettings(transport=replay.played(folder)), pause=0, robots=False) as fetch:
        return [
            (item, source)
            for page in protocol.collect(source, fetch, None)
            for item in page.items
            if isinstance(item, Record)
        ]


@lru_cache(maxsize=32)
def read_fields(mapping: str) -> frozenset[str]:
    words, read = Crosswalks(Iris()), set[str]()
    for folder in FOLDERS:
        if load(folder / "source.toml").mapping == mapping:
            for record, source in records(folder):
                try:
                    read.update(fields_of(record, source, words)[0])
                except ParseError:
                    continue
    return frozenset(read)


def mapped_part(mapping: str) -> str:
    text = (PAGES / f"{mapping}.md").read_text(encoding="utf-8").partition("\nDropped")[0]
    # The page of submissions links to the table of their members.
    if mapping == "submission":
        members = (PAGES.parent / "submissions.md").read_text(encoding="utf-8")
        text += members.partition("\n## Members\n")[2].partition("\n## ")[0]
    return text.lower().replace("-", "_")


@each("mapping", NAMED)
def test_every_field_that_changes_a_description_is_in_the_table(mapping: str) -> None:
    named = {
        word
        for text in re.findall(r"`([^`]+)`", mapped_part(mapping))
        for word in re.split(r"[^\w:.]+", text)
    }

    fields = {field.lower().replace("-", "_") for field in read_fields(mapping)}
    unknown = {
        field
        for field in fields
        if not {field, field.partition(".")[0], field.rpartition(":")[2]} & named
    }

    assert fields
    assert unknown == set()


@each("mapping", sorted(set(MAPPINGS) - {"fields"}))
def test_every_page_has_a_table_of_fields_and_says_what_is_dropped(mapping: str) -> None:
    text = (PAGES / f"{mapping}.md").read_text(encoding="utf-8")

    assert re.search(r"^\| [\w ]+ \| becomes \|$", text, re.MULTILINE)
    assert re.search(r"^Dropped:", text, re.MULTILINE)


def test_a_field_without_which_the_record_cannot_be_mapped_is_read() -> None:
    record = Record("a", {"name": "A", "unknown": 1}, b"")

    read, dropped = fields_of(record, define_source("json", "dpg_nominee"), crosswalks())

    assert (read, dropped) == (["name"], ["unknown"])


def test_extras_and_objects_of_a_row_are_taken_apart() -> None:
    row = {
        "extras": [{"key": "a", "value": 1}, {"key": "b", "value": 2}],
        "list": [{"c": 1}, "text"],
    }

    assert dict(without_each_field(row)) == {
        "extras": {"list": [{"c": 1}, "text"]},
        "a": {**row, "extras": [{"key": "b", "value": 2}]},
        "b": {**row, "extras": [{"key": "a", "value": 1}]},
        "list": {"extras": row["extras"]},
        "list.c": {**row, "list": [{}, "text"]},
    }
