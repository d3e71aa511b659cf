from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from projects import DEFINITION, serving

from harvesters.ledger.models import Outcome
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import parse
from publisher.releases.dump import write_dumps

COMMON = {
    "key": "id", "title@en": "name", "goals": "sdgs", "action_lines": "lines", "lead": "owner", "initiatives": "projects",
}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "initiative": ("https://w3id.org/wsis-stocktaking/ns#Initiative", {}),
    "event": ("https://schema.org/Event", {"start": "day", "venue@en": "hall", "cancelled": "off", "registration": "url"}),
    "document": ("http://xmlns.com/foaf/0.1/Document", {"issued": "day", "pages": "url"}),
    "post": ("http://rdfs.org/sioc/ns#Post", {"issued": "day", "content@en": "text", "container": "blog"}),
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"id": "1", "name": "One", "sdgs": "SDG 4", "lines": "C7. E-learning", "owner": "Ministry", "projects": ["p1"], "day": "2026-05-01",
     "hall": "CICG", "off": True, "url": "https://a.example/1", "text": "We met.", "blog": "https://a.example/blog"},
    {"id": "2", "name": "Two"},
    {"id": "3", "name": ""},
]  # fmt: skip


@pytest.fixture(params=KINDS)
def harvested(
    request: pytest.FixtureRequest, context: HarvestContext
) -> tuple[str, HarvestContext, Any]:
    kind = request.param
    fields = {**COMMON, **KINDS[kind][1]} | ({} if kind == "initiative" else {"kind": kind})
    more = {"options": {"initiatives_of": "projects"}, "fields": fields, "limits": {"withheld": 1}}
    served = serving(context, ROWS)
    return kind, served, harvest(parse("all", {**DEFINITION, **more}, "test"), served)


def test_a_resource_of_each_kind_is_validated_published_and_dumped(
    harvested: tuple[str, HarvestContext, Any], tmp_path: Path
) -> None:
    kind, context, plan = harvested

    files = write_dumps(context.journal, tmp_path / "dumps")

    lines = gzip.decompress(files[0].read_bytes()).decode().splitlines()
    thing, record = context.iris.thing(kind, "all", "1"), context.iris.record("all", "1")
    results = {
        line.removeprefix(f"<{thing}> ").removesuffix(f" <{record}> .")
        for line in lines
        if line.startswith(f"<{thing}> ")
    }
    assert {
        f"<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{KINDS[kind][0]}>",
        '<http://purl.org/dc/terms/title> "One"@en',
        f"<http://purl.org/dc/terms/relation> <{context.iris.thing('initiative', 'projects', 'p1')}>",
        f"<http://purl.org/dc/terms/publisher> <{context.iris.thing('organization', 'all', 'ministry')}>",
        f"<{context.iris.ns}goal> <http://metadata.un.org/sdg/4>",
        f"<{context.iris.ns}actionLine> <{context.iris.concept('action-line', 'C7-elea')}>",
    } <= results
    # One record has no title. An event without a start is withheld too.
    assert plan.outcomes[Outcome.WITHHELD] == (2 if kind == "event" else 1)


def test_a_missing_property_is_a_warning_on_the_record(
    harvested: tuple[str, HarvestContext, Any],
) -> None:
    kind, context, _ = harvested
    record = context.iris.record("all", "2")

    rows = [
        row
        for entry in context.journal.entries()
        for row in entry.rows()
        if f"<{record}" in row and "resultMessage" in row
    ]

    wanted = {
        "initiative": "No lead entity",
        "document": "neither an author nor a publisher",
        "post": "has no text",
    }
    if kind == "event":  # an event without a start is withheld, so it has no warning
        assert rows == []
    else:
        assert [row for row in rows if wanted[kind] in row] != []
