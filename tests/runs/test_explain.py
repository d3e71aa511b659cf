"""Each published statement is traced to archived bytes whose mapping yields it again, or is
explained as ours.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import orjson
import pyoxigraph as ox
import pytest
import sqlalchemy as sa
from projects import Harvester
from rdf_terms import solutions
from rows import each
from typer.testing import CliRunner

from harvesters.archive import read_body
from harvesters.inspection.trace import (
    ExplainError,
    Explanation,
    check_property,
    explain,
    find_value,
    parse_iri,
    read_record,
)
from harvesters.inspection.trace_output import as_text, as_turtle
from harvesters.ledger import tables as t
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions, removal
from harvesters.runs.remap import remap
from harvesters.source import Source, load, parse
from harvesters.stored_response import SourcePosition
from stocktake import app
from vocab.iris import BASE

ROOT = Path(__file__).parents[2]
FEEDS = ROOT.parent / "shared" / "feeds"
PROV = "http://www.w3.org/ns/prov#"


def answering(context: HarvestContext, *bodies: bytes) -> HarvestContext:
    """A context whose registry answers with *bodies*, one after the other, and then with 404."""
    left = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt" or not left:
            return httpx.Response(404)
        return httpx.Response(200, content=left.pop(0))

    return replace(context, network=replace(context.network, transport=httpx.MockTransport(answer)))


def explained(source: Source, context: HarvestContext, name: str = "") -> list[Explanation]:
    """Explain all records of a source."""
    with context.ledger.transaction() as connection:
        keys = list(
            connection.scalars(sa.select(t.record.c.key).where(t.record.c.source == source.name))
        )
    return [
        explain(
            read_record(context.ledger, source.name, key),
            source,
            BASE,
            context.data / "archive",
            name=name,
        )
        for key in keys
    ]


def check(explanations: list[Explanation], context: HarvestContext) -> Counter[str]:
    """Check that bytes, digests and places are what the archive has, and that only provenance,
    validation results and the list of the source's records are ours; count the origins.
    """
    origins: Counter[str] = Counter()
    for one in explanations:
        assert one.request is not None, one.note
        body = read_body(
            context.data / "archive",
            SourcePosition(one.request.file, one.request.offset, one.request.length),
        )
        assert (len(body), hashlib.sha256(body).hexdigest()) == (
            one.request.size,
            one.request.digest,
        )
        for item in one.statements:
            origins[item.origin] += 1
            if item.place:
                assert (
                    body[item.place.offset : item.place.offset + item.place.length].decode()
                    == item.place.value
                )
            subject, _, value = item.statement.split(" ", 2)
            assert (item.origin == "validation") == subject.startswith(f"<{one.record}#result-")
            if item.origin == "ours":
                listed = (subject, value) == (f"<{BASE}source/{one.source}>", f"<{one.record}>")
                assert listed or subject == f"<{one.record}>", item.statement
    return origins


def test_statement_is_traced_to_request_bytes_and_field(filled: Harvester) -> None:

    [results] = [
        one for one in explained(filled.source, filled.context, "title") if one.key == "p4"
    ]

    [item] = results.statements
    assert (item.origin, item.fields, item.value) == ("source", ("name",), "Project 4")
    assert item.place is not None
    assert item.place.before.endswith('"name":"')
    assert results.request is not None
    assert results.request.url == "https://registry.example/api?page=2"
    assert (results.run, results.mapping) == ("projects.1", "fields")
    assert [(one.run, one.outcome) for one in results.history] == [("projects.1", "new")]


def test_every_statement_is_of_the_source_or_ours(filled: Harvester) -> None:

    origins = check(explained(filled.source, filled.context), filled.context)

    assert set(origins) == {"source", "validation", "ours"}
    assert origins["source"] == 80


def test_history_names_the_runs_that_changed_a_record(filled: Harvester) -> None:
    filled.registry.projects[3]["name"] = "Another name"
    filled.harvest(full=True)

    [results] = [
        one for one in explained(filled.source, filled.context, "title") if one.key == "p4"
    ]

    assert [(one.run, one.outcome) for one in results.history] == [
        ("projects.2", "changed"),
        ("projects.1", "new"),
    ]
    assert results.statements[0].value == "Another name"


def test_record_that_was_mapped_again_is_traced_to_the_first_run(filled: Harvester) -> None:
    changed = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})
    remap(changed, filled.context)

    [results] = [
        one for one in explained(changed, filled.context, "description") if one.key == "p4"
    ]

    assert (results.run, results.statements[0].fields) == ("projects.2", ("owner",))
    assert results.request is not None
    assert results.request.file == "projects/projects.1.warc.gz"


def test_mirror_without_the_archive_says_so(filled: Harvester) -> None:
    for file in (filled.context.data / "archive").rglob("*.gz"):
        file.unlink()

    result = explained(filled.source, filled.context)[0]

    assert {item.origin for item in result.statements} == {"unknown"}
    assert result.request is None
    assert "archive" in result.note


def test_rdf_says_what_a_statement_was_derived_from_and_what_is_ours(filled: Harvester) -> None:
    [results] = [one for one in explained(filled.source, filled.context) if one.key == "p4"]

    store = ox.Store()
    store.load(as_turtle(results, BASE), format=ox.RdfFormat.TURTLE)

    count = "PREFIX prov: <{}> SELECT (COUNT(*) AS ?n) {{ ?s a <http://www.w3.org/1999/02/22-rdf-syntax-ns#Statement> ; {} }}"
    numbers = [
        int(next(solutions(store.query(count.format(PROV, pattern))))["n"].value)
        for pattern in (
            "prov:wasDerivedFrom ?response . ?run prov:used ?response",
            f"prov:wasAttributedTo <{BASE}>",
        )
    ]
    derived = sum(item.origin == "source" for item in results.statements)
    assert numbers == [derived, len(results.statements) - derived]
    assert b"field name" in as_text(results, BASE)


def real_sources() -> dict[str, tuple[Source, Callable[[], bytes]]]:
    nominees = sorted((FEEDS / "dpg" / "nominees").glob("*.json"))[:40]
    oai = {
        "title": "A", "protocol": "oai-pmh", "mapping": "oai_dc", "url": "https://a.example/oai", "licence": "https://a.example/l",
    }  # fmt: skip
    world_bank = load(ROOT / "sources" / "world-bank.toml")
    single = {
        name: value
        for name, value in world_bank.options.items()
        if name not in ("offset", "limit", "size", "total")
    }
    return {
        "dpg": (
            load(ROOT / "sources" / "dpga.toml"),
            lambda: orjson.dumps([json.loads(file.read_bytes()) for file in nominees]),
        ),
        "iati": (
            replace(load(ROOT / "sources" / "iati.toml"), url="https://a.example/activities.xml"),
            (FEEDS / "iati" / "activity-standard-example-annotated.xml").read_bytes,
        ),
        "oai-pmh": (
            parse("oai", oai, "test"),
            (FEEDS / "oai" / "sickle_ListRecords4.xml").read_bytes,
        ),
        "world-bank": (
            replace(world_bank, options=single),
            (FEEDS / "worldbank" / "az_donor_pipeline_page_os0.raw.json").read_bytes,
        ),
    }


@pytest.mark.skipif(not FEEDS.is_dir(), reason=f"no real feeds at {FEEDS}")
@pytest.mark.parametrize("name", ["dpg", "iati", "oai-pmh", "world-bank"])
def test_every_statement_of_real_records_is_traced(name: str, context: HarvestContext) -> None:
    source, body = real_sources()[name]
    quick = replace(source, pause=0, limits=replace(source.limits, expect=1, withheld=1))
    harvest(quick, answering(context, body()))

    result = explained(quick, context)
    origins = check(result, context)

    assert result
    assert {"source", "ours"} <= set(origins) <= {"source", "validation", "ours"}
    placed = [item for one in result for item in one.statements if item.place]
    assert len(placed) > origins["source"] / 4


@pytest.mark.skipif(not FEEDS.is_dir(), reason=f"no real feeds at {FEEDS}")
def test_concept_that_a_crosswalk_found_names_the_word_of_the_source_and_the_crosswalk(
    context: HarvestContext,
) -> None:
    source, body = real_sources()["dpg"]
    quick = replace(source, pause=0, limits=replace(source.limits, expect=1, withheld=1))
    harvest(quick, answering(context, body()))

    statements = [
        item for one in explained(quick, context) for item in one.statements if item.classification
    ]

    crosswalked = [
        item
        for item in statements
        if item.classification and item.classification.basis == "crosswalked"
    ]
    assert crosswalked
    for item in crosswalked:
        assert item.classification is not None
        assert item.classification.crosswalk.startswith(BASE)
        assert item.classification.word in item.value or not item.value


@each(
    "iri",
    ["https://elsewhere.example/a", f"{BASE}scheme/action-line/C1", f"{BASE}record/", "record/a"],
)
def test_other_iris_are_refused(iri: str) -> None:
    with pytest.raises(ExplainError, match="not the IRI of a record"):
        parse_iri(iri, BASE)


def test_excerpt_around_a_value_has_no_mail_address() -> None:
    value = find_value(
        b'{"id": "k", "mail": "jane.doe@example.org", "t": "One", "m2": "x@y.example"}', "One", "k"
    )

    assert value is not None
    assert (value.before, value.after) == (
        '{"id": "k", "mail": "[...]", "t": "',
        '", "m2": "[...]"}',
    )


def test_value_is_found_in_the_spelling_of_its_format() -> None:
    places = [
        find_value(body, "A & é", "k")
        for body in (b"<k>A &amp; \xc3\xa9</k>", b'{"k": "A & \\u00e9"}', b"nothing")
    ]

    assert [position and (position.offset, position.value) for position in places] == [
        (3, "A &amp; é"),
        (7, "A & \\u00e9"),
        None,
    ]


def test_command_explains_a_record_and_refuses_an_unknown_one(
    filled: Harvester, tmp_path: Path
) -> None:
    definition = [
        'title = "Projects"', 'protocol = "json"', 'mapping = "fields"', f'url = "{filled.source.url}"',
        f'licence = "{filled.source.licence}"',
    ]  # fmt: skip
    options = [f"{name} = {json.dumps(value)}" for name, value in filled.source.options.items()]
    fields = [
        f"{json.dumps(name)} = {json.dumps(value)}" for name, value in filled.source.fields.items()
    ]
    (tmp_path / "projects.toml").write_text(
        "\n".join([*definition, "[options]", *options, "[fields]", *fields])
    )
    environment = {"STOCKTAKE_DATA": str(filled.context.data), "STOCKTAKE_SOURCES": str(tmp_path),
                   "STOCKTAKE_LEDGER": f"sqlite:///{tmp_path}/ledger.sqlite"}  # fmt: skip

    result = CliRunner().invoke(
        app, ["explain", f"{BASE}record/projects/p4", "title", "--format", "json"], env=environment
    )
    unknown = CliRunner().invoke(app, ["explain", "/record/projects/p99"], env=environment)

    assert (result.exit_code, unknown.exit_code) == (0, 1), result.output
    assert json.loads(result.stdout)["statements"][0]["fields"] == ["name"]
    assert "no published record with the key 'p99'" in unknown.output


def test_statement_that_one_of_two_fields_is_enough_for_names_both(harvester: Harvester) -> None:
    for project in harvester.registry.projects:
        project["iso"] = "KE"
        project["country"] = "Kenya"
    either = replace(
        harvester.source, fields={**harvester.source.fields, "countries": "iso || country"}
    )
    harvest(either, harvester.context)

    [results] = [one for one in explained(either, harvester.context, "spatial") if one.key == "p4"]

    [item] = results.statements
    assert (item.fields, item.is_constant) == (("iso", "country"), False)


def test_statement_that_no_field_decides_is_of_the_mapping(filled: Harvester) -> None:

    [results] = [one for one in explained(filled.source, filled.context) if one.key == "p4"]

    constant = {item.statement.split(" ", 1)[1] for item in results.statements if item.is_constant}
    [kind] = [
        item
        for item in results.statements
        if "/id/initiative/" in item.statement.split(" ")[0] and "#type>" in item.statement
    ]
    assert kind.statement.split(" ", 1)[1] in constant
    assert all(
        item.fields or item.is_constant or item.origin != "source" or "p4" in item.statement
        for item in results.statements
    )
    assert "every record has it" in as_text(results, BASE).decode()
    assert "every record has it" in as_turtle(results, BASE).decode()


def test_tombstone_is_ours(filled: Harvester) -> None:
    plan = removal.plan_clear(filled.source, filled.context, by="bob")
    plan_decisions.approve(filled.context, filled.source, plan.run.id, by="ann")

    result = explained(filled.source, filled.context)[0]

    assert {item.origin for item in result.statements} == {"ours"}
    assert "projects.2 wrote its tombstone" in result.note
    assert result.history[0].outcome == "deleted"


def test_unknown_property_is_refused_with_those_of_the_record(filled: Harvester) -> None:
    described = read_record(filled.context.ledger, "projects", "p4")

    check_property(described, "title")
    with pytest.raises(ExplainError, match=r"no property that ends with 'nothing'; it has .*title"):
        check_property(described, "nothing")
