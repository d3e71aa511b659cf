from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyoxigraph as ox
import pytest
import sqlalchemy as sa
from fetch_client import read_body
from projects import Harvester, asking
from rdf_terms import solutions
from rows import each
from typer.testing import CliRunner

from harvesters.inspection.trace import (
    ExplainError,
    Explanation,
    as_text,
    as_turtle,
    check_property,
    explain,
    find_value,
    parse_iri,
    read_record,
)
from harvesters.ledger import tables as t
from harvesters.page_model import SourcePosition
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest, remap
from harvesters.source import Source, load, parse
from stocktake import app
from vocab.iris import BASE

ROOT = Path(__file__).parents[2]
FEEDS = ROOT.parent / "shared" / "feeds"
PROV = "http://www.w3.org/ns/prov#"


def answering(context: HarvestContext, *bodies: bytes) -> HarvestContext:
    """Return a context whose registry answers with each of *bodies* once, and then with 404."""
    left = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt" or not left:
            return httpx.Response(404)
        return httpx.Response(200, content=left.pop(0))

    return asking(context, answer)


def explained(source: Source, context: HarvestContext, name: str = "") -> list[Explanation]:
    with context.ledger.transaction() as connection:
        query = sa.select(t.record.c.key).where(t.record.c.source == source.name)
        keys = list(connection.scalars(query))
    records, archive = (
        (read_record(context.ledger, source.name, key) for key in keys),
        context.data / "archive",
    )
    return [explain(record, source, BASE, archive, name=name) for record in records]


def explained_p4(source: Source, context: HarvestContext, name: str = "") -> Explanation:
    (result,) = (one for one in explained(source, context, name) if one.key == "p4")
    return result


def check(explanations: list[Explanation], context: HarvestContext) -> Counter[str]:
    """Check that bytes, digests and places are those of the archive, and that the origin
    is "validation" for validation results only, and "ours" for statements about the record and the
    list of the source's records only; count the origins.
    """
    origins: Counter[str] = Counter()
    for one in explanations:
        request = one.request
        assert request is not None, one.note
        position = SourcePosition(request.file, request.offset, request.length)
        body = read_body(context.data / "archive", position)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (request.size, request.digest)
        for item in one.statements:
            origins[item.origin] += 1
            if place := item.place:
                assert body[place.offset :][: place.length].decode() == place.value
            subject, _, value = item.statement.split(" ", 2)
            assert (item.origin == "validation") == subject.startswith(f"<{one.record}#result-")
            if item.origin == "ours":
                listed = (subject, value) == (f"<{BASE}source/{one.source}>", f"<{one.record}>")
                assert listed or subject == f"<{one.record}>", item.statement
    return origins


def test_statement_is_traced_to_request_bytes_and_field_and_to_the_runs_that_changed_it(
    filled: Harvester,
) -> None:
    results = explained_p4(filled.source, filled.context, "title")

    [item] = results.statements
    assert (item.origin, item.fields, item.value) == ("source", ("name",), "Project 4")
    assert item.place is not None
    assert item.place.before.endswith('"name":"')
    assert results.request is not None
    assert results.request.url == "https://registry.example/api?page=2"
    assert (results.run, results.mapping) == ("projects.1", "fields")
    assert [(one.run, one.outcome) for one in results.history] == [("projects.1", "new")]
    origins = check(explained(filled.source, filled.context), filled.context)
    assert set(origins) == {"source", "validation", "ours"}
    assert origins["source"] == 80

    filled.registry.projects[3]["name"] = "Another name"
    filled.harvest(full=True)

    results = explained_p4(filled.source, filled.context, "title")
    history = [(one.run, one.outcome) for one in results.history]
    assert history == [("projects.2", "changed"), ("projects.1", "new")]
    assert results.statements[0].value == "Another name"


def test_record_that_was_mapped_again_is_traced_to_the_first_run(filled: Harvester) -> None:
    changed = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})
    remap(changed, filled.context)

    results = explained_p4(changed, filled.context, "description")

    assert (results.run, results.statements[0].fields) == ("projects.2", ("owner",))
    assert results.request is not None
    assert results.request.file == "projects/projects.1.warc.gz"


def test_rdf_says_what_a_statement_was_derived_from_and_what_is_ours(filled: Harvester) -> None:
    results = explained_p4(filled.source, filled.context)

    store = ox.Store()
    store.load(as_turtle(results, BASE), format=ox.RdfFormat.TURTLE)

    def count(pattern: str) -> int:
        named = f"PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> PREFIX prov: <{PROV}>"
        query = f"{named} SELECT ?s {{ ?s a rdf:Statement ; {pattern} }}"
        return len(list(solutions(store.query(query))))

    derived = sum(item.origin == "source" for item in results.statements)
    assert count("prov:wasDerivedFrom ?response . ?run prov:used ?response") == derived
    assert count(f"prov:wasAttributedTo <{BASE}>") == len(results.statements) - derived
    assert b"field name" in as_text(results, BASE)
    constant = {item.statement.split(" ", 1)[1] for item in results.statements if item.is_constant}
    triples = [item.statement.split(" ", 1) for item in results.statements]
    [kind] = [rest for thing, rest in triples if "/id/initiative/" in thing and "#type>" in rest]
    assert kind in constant
    assert all(
        item.fields or item.is_constant or item.origin != "source" or "p4" in item.statement
        for item in results.statements
    )
    for write in (as_text, as_turtle):
        assert "every record has it" in write(results, BASE).decode()

    for file in (filled.data / "archive").rglob("*.gz"):  # a mirror has no archive either
        file.unlink()
    result = explained(filled.source, filled.context)[0]
    assert {item.origin for item in result.statements} == {"unknown"}
    assert result.request is None
    assert "archive" in result.note


def real_sources() -> dict[str, tuple[Source, Callable[[], bytes]]]:
    nominees = sorted((FEEDS / "dpg" / "nominees").glob("*.json"))[:40]
    oai = {"title": "A", "protocol": "oai-pmh", "mapping": "oai_dc", "url": "https://a.example/oai",
    "licence": "https://a.example/l"}  # fmt: skip
    dpga, iati, world_bank = (
        load(ROOT / "sources" / f"{name}.toml") for name in ("dpga", "iati", "world-bank")
    )
    paging = {"offset", "limit", "size", "total"}
    single = {name: item for name, item in world_bank.options.items() if name not in paging}
    return {
        "dpg": (dpga, lambda: orjson.dumps([json.loads(file.read_bytes()) for file in nominees])),
        "iati": (replace(iati, url="https://a.example/activities.xml"),
        (FEEDS / "iati" / "activity-standard-example-annotated.xml").read_bytes),
        "oai-pmh": (parse("oai", oai, "test"), (FEEDS / "oai" / "sickle_ListRecords4.xml").read_bytes),
        "world-bank": (replace(world_bank, options=single), (FEEDS / "worldbank" / "az_donor_pipeline_page_os0.raw.json").read_bytes),
    }  # fmt: skip


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
    statements = [item for one in result for item in one.statements]
    assert sum(bool(item.place) for item in statements) > origins["source"] / 4
    # A concept that comes from a crosswalk names the source's word and the crosswalk.
    crosswalked = [
        (item, concept)
        for item in statements
        if (concept := item.classification) and concept.basis == "crosswalked"
    ]
    assert crosswalked or name != "dpg"
    for item, concept in crosswalked:
        assert concept.crosswalk.startswith(BASE)
        assert concept.word in item.value or not item.value, item


@each(
    "iri",
    ["https://elsewhere.example/a", f"{BASE}scheme/action-line/C1", f"{BASE}record/", "record/a"],
)
def test_other_iris_are_refused(iri: str) -> None:
    with pytest.raises(ExplainError, match="not the IRI of a record"):
        parse_iri(iri, BASE)


def test_excerpt_around_a_value_has_no_mail_address() -> None:
    body = b'{"id": "k", "mail": "jane.doe@example.org", "t": "One", "m2": "x@y.example"}'

    value = find_value(body, "One", "k")

    assert value is not None
    assert value.before == '{"id": "k", "mail": "[...]", "t": "'
    assert value.after == '", "m2": "[...]"}'


@each(
    "body, place",
    [
        (b"<k>A &amp; \xc3\xa9</k>", (3, "A &amp; é")),
        (b'{"k": "A & \\u00e9"}', (7, "A & \\u00e9")),
        (b"nothing", None),
    ],
)
def test_value_is_found_in_the_spelling_of_its_format(body: bytes, place: Any) -> None:
    position = find_value(body, "A & é", "k")

    assert (position and (position.offset, position.value)) == place


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
    environment = {"STOCKTAKE_DATA": str(filled.data), "STOCKTAKE_SOURCES": str(tmp_path),
                   "STOCKTAKE_LEDGER": f"sqlite:///{tmp_path}/ledger.sqlite"}  # fmt: skip

    result = CliRunner().invoke(
        app, ["explain", f"{BASE}record/projects/p4", "title", "--format", "json"], env=environment
    )
    unknown = CliRunner().invoke(app, ["explain", "/record/projects/p99"], env=environment)

    assert (result.exit_code, unknown.exit_code) == (0, 1), result.output
    assert json.loads(result.stdout)["statements"][0]["fields"] == ["name"]
    assert "no published record with the key 'p99'" in str(unknown.exception)


def test_statement_of_two_alternative_fields_names_the_one_that_was_read(
    harvester: Harvester,
) -> None:
    for project in harvester.registry.projects:
        project |= {"iso": "KE", "country": "Kenya"}
    fields = {**harvester.source.fields, "countries": "iso || country"}
    either = harvester.having(fields=fields)
    either.harvest()

    [item] = explained_p4(either.source, either.context, "spatial").statements

    assert (item.fields, item.is_constant) == (("iso",), False)


def test_tombstone_is_ours(filled: Harvester) -> None:
    filled.approve(operations.clear(filled.context, filled.source, by="bob").id)

    result = explained(filled.source, filled.context)[0]

    assert {item.origin for item in result.statements} == {"ours"}
    assert "projects.2 wrote its tombstone" in result.note
    assert result.history[0].outcome == "deleted"


def test_unknown_property_is_refused_with_those_of_the_record(filled: Harvester) -> None:
    described = read_record(filled.ledger, "projects", "p4")

    check_property(described, "title")
    with pytest.raises(ExplainError, match=r"no property that ends with 'nothing'; it has .*title"):
        check_property(described, "nothing")
