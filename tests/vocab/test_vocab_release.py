from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyoxigraph import RdfFormat, parse
from rows import each
from suites import folder as suite_folder
from typer.testing import CliRunner

from command_line.vocabulary import vocabulary as app
from vocab.iris import BASE
from vocab.mapping_sets import mapped_schemes, sssom_table
from vocab.release import NAME, VocabularyReleaseError, compare, group_statements, write_release
from vocab.schemes import concepts, schemes, statements
from vocab.terms import SKOS

OWL = "http://www.w3.org/2002/07/owl#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
TERM = f"{BASE}ns#goal"
HEADER = f'<{BASE}ns> <{OWL}versionInfo> "%s" .'
PROPERTY = f"<{TERM}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{OWL}ObjectProperty> ."


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "1"
    write_release(folder, extra={"shapes.ttl": b"# shapes\n"})
    return folder


def test_turtle_and_json_ld_state_what_the_schemes_state(release: Path) -> None:
    expected = {f"{line} ." for _, lines in statements() for line in lines}

    for name, form in ((f"{NAME}.ttl", RdfFormat.TURTLE), (f"{NAME}.jsonld", RdfFormat.JSON_LD)):
        assert {
            f"{quad.triple} ." for quad in parse((release / name).read_bytes(), form)
        } == expected


def test_each_scheme_is_a_table_with_a_row_for_each_concept(release: Path) -> None:
    for scheme in schemes():
        rows = list(
            csv.DictReader(io.StringIO((release / "csv" / f"{scheme}.csv").read_text("utf-8")))
        )

        assert [row["iri"] for row in rows] == list(concepts(scheme))


def test_checksums_are_those_of_the_files(release: Path) -> None:
    sums = [line.split("  ") for line in (release / "SHA256SUMS").read_text().splitlines()]

    assert [
        name
        for digest, name in sums
        if hashlib.sha256((release / name).read_bytes()).hexdigest() != digest
    ] == []
    files = {file.relative_to(release).as_posix() for file in release.rglob("*") if file.is_file()}
    assert files - {name for _, name in sums} == {"SHA256SUMS"}


def test_the_catalogue_lists_each_file_with_its_size(release: Path) -> None:
    catalogue = list(parse((release / "catalog.ttl").read_bytes(), RdfFormat.TURTLE))
    listed = {
        str(quad.object.value)
        for quad in catalogue
        if quad.predicate.value.endswith("dcat#distribution")
    }

    assert f"{BASE}ns/0.1.0/{NAME}.ttl" in listed
    assert {quad.predicate.value.rpartition("#")[2] for quad in catalogue} >= {
        "byteSize",
        "mediaType",
        "checksum",
        "version",
    }


def test_a_release_has_the_same_bytes_each_time(release: Path, tmp_path: Path) -> None:
    write_release(tmp_path / "2", extra={"shapes.ttl": b"# shapes\n"})

    assert (tmp_path / "2" / "SHA256SUMS").read_bytes() == (release / "SHA256SUMS").read_bytes()


def test_the_records_for_registries_are_filled(release: Path) -> None:
    datacite, lov = (
        json.loads((release / f"{name}.json").read_text("utf-8")) for name in ("datacite", "lov")
    )

    assert datacite["version"] == lov["versions"][0]["name"] == "0.1.0"
    assert datacite["titles"] == [{"title": "Stocktake vocabulary", "lang": "en"}]
    assert lov["titles"] == [{"value": "Stocktake vocabulary", "lang": "en"}]
    assert [name for name, value in datacite.items() if not value] == []
    assert {
        record["uri"] for record in json.loads((release / "bartoc.json").read_text("utf-8"))
    } >= {f"{BASE}scheme/action-line"}
    assert "[R=303,L]" in (release / "w3id" / ".htaccess").read_text()


@each("scheme", mapped_schemes())
def test_a_sssom_table_has_a_justification_in_each_row(scheme: str) -> None:
    lines = [line for line in sssom_table(scheme).splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines)), delimiter="\t"))

    assert rows
    assert {row["mapping_justification"] for row in rows} <= {
        "semapv:LexicalMatching",
        "semapv:ManualMappingCuration",
    }
    assert [row for row in rows if not row["subject_id"] or not row["object_id"]] == []


@each("scheme", mapped_schemes())
def test_a_sssom_table_is_valid_by_its_schema(scheme: str) -> None:
    file = suite_folder("sssom-schema") / "sssom_schema.yaml"
    if not file.is_file():
        pytest.skip("the schema of SSSOM is not here: run `make install`")
    schema = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)
    lines = sssom_table(scheme).splitlines()
    head = yaml.safe_load("\n".join(line[1:] for line in lines if line.startswith("#")))
    body = "\n".join(line for line in lines if not line.startswith("#"))
    rows = list(csv.DictReader(io.StringIO(body), delimiter="\t"))

    assert list(_slot_faults(schema, "mapping set", {**head, "mappings": rows})) == []
    for row in rows:
        given = {name: value for name, value in row.items() if value}
        assert list(_slot_faults(schema, "mapping", given)) == []
        for name in ("subject_id", "predicate_id", "object_id", "mapping_justification"):
            assert row[name].partition(":")[0] in head["curie_map"]


def test_a_fault_of_a_sssom_table_is_noticed() -> None:
    schema = {
        "slots": {"a": {"range": "uri", "multivalued": True}, "b": {"required": True}, "c": {}},
        "classes": {"mapping": {"slots": ["a", "b", "c"]}},
    }

    assert list(_slot_faults(schema, "mapping", {"a": "https://x.example/", "c": {}, "d": "1"})) == [
        "a: no list", "c: no text", "d: unknown", "b: missing",
    ]  # fmt: skip


def _slot_faults(schema: dict[str, Any], name: str, values: dict[str, Any]) -> Iterator[str]:
    """Yield the faults in the slots of a LinkML class: unknown or missing slots, and values that
    are no list, no text or no address.
    """
    described = schema["classes"][name]
    usage = described.get("slot_usage", {})
    slots = {
        slot: {**(schema["slots"].get(slot) or {}), **usage.get(slot, {})}
        for slot in described["slots"]
    }
    for slot, value in values.items():
        rules = slots.get(slot, {})
        items = value if rules.get("multivalued") else [value]
        if slot not in slots:
            yield f"{slot}: unknown"
        elif slot in ("curie_map", "mappings"):
            continue
        elif not isinstance(items, list):
            yield f"{slot}: no list"
        elif not all(isinstance(item, str) for item in items):
            yield f"{slot}: no text"
        elif rules.get("range") == "uri" and not all(item.startswith("http") for item in items):
            yield f"{slot}: no address"
    for slot, rules in slots.items():
        if rules.get("required") and slot not in values:
            yield f"{slot}: missing"


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    with pytest.raises(VocabularyReleaseError, match="not empty"):
        write_release(tmp_path)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyReleaseError, match="folder of an earlier release"):
        write_release(tmp_path / "new", since=tmp_path)


def problems(
    earlier: list[str], current: list[str], versions: tuple[str, str] = ("0.1.0", "0.2.0")
) -> tuple[str, ...]:
    old, new = (
        [HEADER % version, *lines]
        for version, lines in zip(versions, (earlier, current), strict=True)
    )
    return compare(group_statements(old), group_statements(new)).problems


def test_a_removed_term_breaks_the_policy() -> None:
    assert problems([PROPERTY], []) == (
        f"{TERM}: removed; keep it with owl:deprecated and dct:isReplacedBy",
    )


def test_a_deprecated_term_needs_a_reason() -> None:
    deprecated = f'<{TERM}> <{OWL}deprecated> "true"^^<http://www.w3.org/2001/XMLSchema#boolean> .'
    reason = f"<{TERM}> <http://purl.org/dc/terms/isReplacedBy> <{BASE}ns#target> ."

    assert len(problems([PROPERTY], [PROPERTY, deprecated])) == 1
    assert problems([PROPERTY], [PROPERTY, deprecated, reason]) == ()


def test_another_range_changes_the_meaning() -> None:
    ranges = [f"<{TERM}> <{RDFS}range> <a:{name}> ." for name in "xy"]

    (problem,) = problems([PROPERTY, ranges[0]], [PROPERTY, ranges[1]])

    assert "range changed" in problem


def test_a_change_needs_a_new_version() -> None:
    label = f'<{TERM}> <{RDFS}label> "goal"@en .'

    assert len(problems([PROPERTY], [PROPERTY, label], ("0.1.0", "0.1.0"))) == 1
    assert problems([PROPERTY], [PROPERTY, label]) == ()


def test_the_command_writes_a_release_and_refuses_a_broken_policy(
    release: Path, tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    removed = (
        f"<{BASE}ns#removed> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{OWL}Class> .\n"
    )
    (earlier / f"{NAME}.nt").write_text(
        (release / f"{NAME}.nt").read_text("utf-8") + removed, "utf-8"
    )

    same = CliRunner().invoke(app, ["release", str(tmp_path / "same"), "--since", str(release)])
    broken = CliRunner().invoke(app, ["release", str(tmp_path / "broken"), "--since", str(earlier)])

    assert (same.exit_code, "No term changed." in same.output) == (0, True)
    assert (tmp_path / "same" / "context.jsonld").exists()
    assert broken.exit_code == 1
    assert not (tmp_path / "broken").exists()


def scheme_of(version: str, label: str) -> str:
    scheme, concept = f"<{BASE}scheme/x>", f"<{BASE}scheme/x/a>"
    return (
        f"{HEADER % version}\n"
        f"{scheme} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{SKOS}ConceptScheme> .\n"
        f"{scheme} <{OWL}versionIRI> <{BASE}scheme/x/version/{version}> .\n"
        f'{concept} <{SKOS}inScheme> {scheme} .\n{concept} <{SKOS}prefLabel> "{label}"@en .'
    )


@each(
    "after, expected",
    [(scheme_of("1", "A"), []), (scheme_of("2", "B"), []),
     (scheme_of("1", "B"), [f"owl:versionIRI is still {BASE}scheme/x/version/1; raise it, with owl:versionInfo and dct:modified"]),
     (scheme_of("2", "B").replace("versionIRI", "priorVersion"), ["no owl:versionIRI any more; state that of the new version"])],
)  # fmt: skip
def test_a_scheme_that_changes_raises_its_own_version(after: str, expected: list[str]) -> None:
    log = compare(
        group_statements(scheme_of("1", "A").splitlines()), group_statements(after.splitlines())
    )

    start = f"{BASE}scheme/x: "
    assert [
        problem.removeprefix(start) for problem in log.problems if problem.startswith(start)
    ] == expected
