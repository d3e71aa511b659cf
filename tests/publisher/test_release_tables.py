"""The rows of the tables state in CSV and in Parquet what the graphs state, and other programs read
them by the descriptions in the release.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import csvw
import duckdb
import pyarrow.parquet
import pytest
from pyoxigraph import QuerySolutions, RdfFormat, Store
from rows import each

from publisher.releases import tables as module
from publisher.releases.dump import write_texts
from publisher.releases.tables import TABLES, compute_tables, open_tables, write_table
from vocab.iris import Iris
from vocab.schemes import concepts

IRIS = Iris()
LARGE = 160_000  # The rows of a large table, which has row groups of 16,384 rows here.
RICH = IRIS.thing("initiative", "demo", "a/1")


@pytest.fixture(scope="module")
def folder(release_data: Path) -> Path:
    """Return the folder of a release, which tests share and must not change."""
    return release_data / "releases/1"


def table(folder: Path, name: str) -> list[dict[str, str]]:
    text = gzip.decompress((folder / f"{name}.csv.gz").read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def of_rich(folder: Path, name: str, *columns: str) -> list[tuple[str, ...]]:
    """Return cells of the rows of the rich initiative."""
    rows = [row for row in table(folder, name) if row["thing"] == RICH]
    return [tuple(row[column] for column in columns) for row in rows]


def rows_of(query: str) -> list[tuple[object, ...]]:
    return duckdb.execute(query).fetchall()


def test_an_initiative_is_one_row_with_all_that_facets_need(folder: Path) -> None:
    rows = {row["thing"]: row for row in table(folder, "initiatives")}
    assert len(rows) == len(table(folder, "initiatives"))

    row = rows[RICH]

    expected = {
        "title": "Telemedicine for remote clinics", "text_languages": "ar en fr", "start_year": "2024", "end_year": "2027",
        "countries": "404", "coverage": "national", "action_lines": "C7-ehea", "goals": "3", "targets": "3.8",
        "prizes": "12-champion-2025", "first_seen": "2026-03-01T08:00:00Z",
    }  # fmt: skip
    assert expected.items() <= row.items()
    assert "\n" in row["description"]
    evil = rows[IRIS.thing("initiative", "demo", "evil")]
    assert evil["title"] == '<script>alert("x")</script>'


def test_a_link_states_its_basis_its_word_and_its_confidence(folder: Path) -> None:
    links = of_rich(folder, "links", "scheme", "code", "basis", "word", "confidence")

    assert set(links) == {
        ("action-line", "C7-ehea", "declared", "", ""),
        ("action-line", "C2", "crosswalked", "infrastructure", ""),
        ("action-line", "C4", "suggested", "", "0.81"),
        ("goal", "3", "declared", "", ""),
        ("goal", "9", "crosswalked", "SDG9", ""),
        ("target", "3.8", "declared", "", ""),
    }


def test_organizations_parties_and_places_are_reported(folder: Path) -> None:
    parties = of_rich(folder, "parties", "organization", "role")
    organizations = {row["name"]: row for row in table(folder, "organizations")}

    assert {(name.rpartition("/")[2], role) for name, role in parties} == {
        ("ministry-of-health", "lead"),
        ("clinics-united", "partner"),
        ("fund-for-health", "funder"),
    }
    places = of_rich(folder, "places", "code", "name", "latitude")
    assert places == [("404", "", ""), ("", "Marsabit", "2.3284")]
    expected = {"classification": "government", "countries": "404", "source": "demo"}
    assert expected.items() <= organizations["Ministry of Health"].items()


def test_what_is_gone_is_in_the_table_of_records_alone(folder: Path) -> None:
    gone = [row for row in table(folder, "records") if row["state"] == "gone"]

    assert [(row["identifier"], row["title"], row["gone"]) for row in gone] == [
        ("lost", "Lost project", "2026-03-02T08:00:00Z")
    ]
    assert not any("lost" in row["thing"] for row in table(folder, "initiatives"))


@each("name", TABLES)
def test_parquet_holds_the_rows_of_the_csv(folder: Path, name: str) -> None:
    columns = [column for column in TABLES[name].columns if column.type not in ("time", "decimal")]
    picked = ", ".join(
        f"array_to_string({column.name}, ' ')"
        if column.is_list
        else f"coalesce(CAST({column.name} AS VARCHAR), '')"
        for column in columns
    )

    result = rows_of(f"SELECT {picked} FROM '{folder}/{name}.parquet'")

    rows = [tuple(row[column.name] for column in columns) for row in table(folder, name)]
    assert sorted(map(str, result)) == sorted(map(str, rows))


@each("name", TABLES)
def test_parquet_is_sorted_by_what_queries_select_by(folder: Path, name: str) -> None:
    order = TABLES[name].order

    rows = rows_of(f"SELECT {', '.join(order)} FROM '{folder}/{name}.parquet'")

    assert order
    assert rows == sorted(rows, key=lambda row: [(cell is None, str(cell or "")) for cell in row])


@pytest.fixture(scope="module")
def large_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Parquet file of a table of links with LARGE rows."""
    folder = tmp_path_factory.mktemp("large")
    with (
        pytest.MonkeyPatch.context() as patched,
        closing(open_tables(folder / "work", IRIS)) as tables,
    ):
        patched.setattr(module, "ROW_GROUP", 16_384)
        tables.execute(
            f"""INSERT INTO links BY NAME SELECT concat('https://example.org/', range) AS thing,
            ['goal', 'target', 'action-line'][range % 3 + 1] AS scheme, (range % 17)::VARCHAR AS code,
            'declared' AS basis FROM range({LARGE})"""
        )
        write_table(tables, TABLES["links"], folder)
    return folder / "links.parquet"


def test_statistics_exclude_most_rows_of_a_large_table(large_links: Path) -> None:
    groups = rows_of(
        f"""SELECT row_group_id, max(stats_min) FILTER (path_in_schema = 'scheme') <= 'goal'
                AND max(stats_max) FILTER (path_in_schema = 'scheme') >= 'goal'
                AND max(stats_min) FILTER (path_in_schema = 'code') <= '4' AND max(stats_max) FILTER (path_in_schema = 'code') >= '4'
            FROM parquet_metadata('{large_links}') GROUP BY row_group_id ORDER BY row_group_id"""
    )

    assert len(groups) >= 10
    assert 1 <= sum(bool(may_match) for _, may_match in groups) <= len(groups) / 2


@pytest.mark.nightly
def test_rows_larger_than_the_memory_are_written_in_order(tmp_path: Path) -> None:
    text, count = "long text " * 800, 30_000
    assert len(text) * count > 192 << 20  # DuckDB may use 192 MiB of memory.
    with closing(open_tables(tmp_path / "work", IRIS)) as tables:
        tables.execute(
            f"""INSERT INTO initiatives BY NAME SELECT concat('urn:', range * 7919 % {count}) AS thing,
            concat(range, ' ', repeat('long text ', 800)) AS description FROM range({count})"""
        )
        write_table(tables, TABLES["initiatives"], tmp_path)

    path = tmp_path / "initiatives.parquet"
    ((size, is_sorted),) = rows_of(
        f"""SELECT sum(length), bool_and(thing > before) FROM (
            SELECT length, thing, lag(thing) OVER (ORDER BY file_row_number) AS before
            FROM (SELECT thing, strlen(description[:8000]) AS length, file_row_number
                FROM read_parquet('{path}', file_row_number = true)))"""
    )
    groups = rows_of(f"SELECT DISTINCT row_group_id FROM parquet_metadata('{path}')")
    assert (size, is_sorted) == (len(text) * count, True)
    assert len(groups) >= 6  # A row group of 20,000 rows would need too much memory.


class CountingFile(io.FileIO):
    """A file that counts the bytes read from it, as requests for ranges would transfer them."""

    transferred = 0

    def readinto(self, buffer: Any) -> int | None:
        number = super().readinto(buffer)
        self.transferred += number or 0
        return number

    def read(self, size: int | None = -1) -> bytes | Any:
        content = super().read(size)
        self.transferred += len(content or b"")
        return content


def test_a_reader_of_ranges_reads_less_than_half_of_a_table(large_links: Path) -> None:
    with CountingFile(large_links) as file:
        rows = pyarrow.parquet.read_table(
            file, columns=["thing"], filters=[("scheme", "==", "goal"), ("code", "==", "4")]
        )
        transferred = file.transferred

    assert rows.num_rows == sum(number % 3 == 0 and number % 17 == 4 for number in range(LARGE))
    # More than half of what is read is the description of the row groups.
    assert 0 < transferred < large_links.stat().st_size / 2


def test_counts_from_the_tables_are_those_of_sparql(folder: Path) -> None:
    store = Store()
    store.bulk_load(gzip.decompress((folder / "stocktake-1.nq.gz").read_bytes()), RdfFormat.N_QUADS)
    query = f"""
        SELECT ?line ?country (COUNT(DISTINCT ?thing) AS ?n)
        {{ GRAPH ?g {{ ?thing <{IRIS.ns}actionLine> ?line ; <http://purl.org/dc/terms/spatial> ?country }} }} GROUP BY ?line ?country"""

    solutions = store.query(query)
    assert isinstance(solutions, QuerySolutions)
    known = {(row["line"].value, row["country"].value, int(row["n"].value)) for row in solutions}
    result = rows_of(
        f"""SELECT concept, area, count(DISTINCT thing) FROM '{folder}/links.parquet' JOIN '{folder}/places.parquet' USING (thing)
        WHERE scheme = 'action-line' AND basis = 'declared' AND area IS NOT NULL GROUP BY ALL"""
    )

    assert len(known) > 5
    assert set(result) == known


def test_csvw_reads_the_tables_by_their_description(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.csv.gz"):
        # csvw does not unpack compressed tables.
        (tmp_path / path.name).write_bytes(gzip.decompress(path.read_bytes()))
    shutil.copy(folder / "csv-metadata.json", tmp_path)
    group = csvw.TableGroup.from_file(tmp_path / "csv-metadata.json")

    read = {
        item.local_name.removesuffix(".csv.gz"): list(item.iterdicts(strict=True))
        for item in group.tables
    }

    assert {name: len(result) for name, result in read.items()} == {
        name: len(table(folder, name)) for name in TABLES
    }
    (rich,) = [row for row in read["initiatives"] if row["thing"] == RICH]
    assert (rich["start_year"], rich["text_languages"]) == (2024, ["ar", "en", "fr"])
    assert group.check_referential_integrity()


def validate_package(folder: Path) -> list[dict[str, Any]]:
    """Validate the Data Package in *folder* with frictionless, in a process of its own, since it
    leaves files open; return its tasks.
    """
    line = [
        sys.executable, "-m", "frictionless", "validate", str(folder / "datapackage.json"), "--json",
    ]  # fmt: skip
    completed = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    tasks: list[dict[str, Any]] = json.loads(completed.stdout)["tasks"]
    return tasks


@pytest.mark.smoke
def test_frictionless_finds_no_fault_in_the_package(folder: Path) -> None:
    tasks = validate_package(folder)

    results = {
        task["place"]: (task["valid"], task["stats"].get("rows") or 0)
        for task in tasks
        if not task["place"].endswith(".parquet")
    }
    assert {results[f"{name}.csv.gz"] for name in TABLES} == {
        (True, len(table(folder, name))) for name in TABLES
    }
    assert all(valid for valid, _ in results.values())


def test_frictionless_refuses_a_table_without_a_described_column(
    folder: Path, tmp_path: Path
) -> None:
    package = json.loads((folder / "datapackage.json").read_text())
    package["resources"] = [
        item for item in package["resources"] if item["path"] == "records.csv.gz"
    ]
    (tmp_path / "datapackage.json").write_text(json.dumps(package))
    rows = table(folder, "records")
    names = [name for name in rows[0] if name != "title"]
    with gzip.open(tmp_path / "records.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

    (task,) = validate_package(tmp_path)

    errors = {error["type"] for error in task["errors"]}
    assert not task["valid"]
    assert errors & {"missing-label", "incorrect-label"}, errors


def test_the_package_names_every_file_that_was_there_when_it_was_written(folder: Path) -> None:
    results = {
        item["path"] for item in json.loads((folder / "datapackage.json").read_text())["resources"]
    }

    there = {path.name for path in folder.iterdir() if path.suffix != ".minisig"}

    assert there - results == {
        "croissant.json", "datapackage.json", "release.json", "ro-crate-metadata.json", "SHA256SUMS",
    }  # fmt: skip


def test_one_description_of_a_column_is_in_every_package(folder: Path) -> None:
    csvw_tables = json.loads((folder / "csv-metadata.json").read_text())["tables"]
    resources = {
        item["path"]: item
        for item in json.loads((folder / "datapackage.json").read_text())["resources"]
    }
    fields = {
        item["@id"]: item
        for part in json.loads((folder / "croissant.json").read_text())["recordSet"]
        for item in part["field"]
    }
    crate = {
        item.get("name"): item
        for item in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    }
    codebook = (folder / "codebook.md").read_text()

    for name, item in TABLES.items():
        (csvw_table,) = [entry for entry in csvw_tables if entry["url"] == f"{name}.csv.gz"]
        for number, column in enumerate(item.columns):
            text = column.full_description
            assert csvw_table["tableSchema"]["columns"][number]["dc:description"] == text
            field = resources[f"{name}.csv.gz"]["schema"]["fields"][number]
            assert (field["description"], field.get("constraints", {}).get("enum", [])) == (
                text,
                [*column.values],
            )
            assert fields[f"{name}/{column.name}"]["description"] == text
            assert crate[f"{name}.{column.name}"]["description"] == text
            assert f"| `{column.name}` |" in codebook
            assert column.description in codebook


def test_the_codebook_has_units_code_lists_and_examples(folder: Path) -> None:
    lines = (folder / "codebook.md").read_text().splitlines()
    links = lines[lines.index("## links") :]

    (confidence,) = [line for line in links if line.startswith("| `confidence` |")]
    (code,) = [line for line in links[: links.index("## places")] if line.startswith("| `code` |")]

    assert "| share |" in confidence
    assert "`0.81`" in confidence
    assert f"[action-line]({IRIS.base}scheme/action-line), [sdg]({IRIS.base}scheme/sdg)" in code
    assert all(line.count("|") == 6 for line in lines if line.startswith("| "))


def test_code_lists_of_columns_exist() -> None:
    known = {
        "action-line", "sdg", "area", "coverage", "status", "activity-type", "stakeholder-type", "prize-category", "prize-stage",
        "itu-region",
    }  # fmt: skip

    assert {
        scheme for item in TABLES.values() for column in item.columns for scheme in column.schemes
    } == known
    assert all(concepts(scheme, IRIS.base) for scheme in known)


def load_record_sets(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Load record sets with mlcroissant, in a process of its own; print the first 200 records of
    each as JSON.
    """
    script = (
        "import itertools, json, sys, mlcroissant\n"
        "dataset = mlcroissant.Dataset(jsonld=sys.argv[1])\n"
        "plain = lambda value: value.decode() if isinstance(value, bytes) else [*map(plain, value)] if hasattr(value, 'tolist') "
        "and not isinstance(value, str) and getattr(value, 'shape', ()) else [*map(plain, value)] if isinstance(value, list) else value\n"
        "first = lambda name: itertools.islice(dataset.records(name), 200)\n"
        "print(json.dumps({name: [{key: plain(value) for key, value in record.items()} for record in first(name)] "
        "for name in sys.argv[2:]}, default=str))\n"
    )
    line = [sys.executable, "-c", script, str(folder / "croissant.json"), *names]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def test_croissant_loads_each_record_set(folder: Path) -> None:
    loaded = load_record_sets(folder, "initiatives", "records")
    assert loaded.returncode == 0, loaded.stderr
    assert "WARNING" not in loaded.stderr
    for name, records in json.loads(loaded.stdout).items():
        columns = TABLES[name].columns
        assert set(records[0]) == {f"{name}/{column.name}" for column in columns}
        expected = {row[columns[0].name]: row for row in table(folder, name)}
        plain = [column for column in columns if column.type in ("words", "iri", "text")]
        for record in records:
            row = expected[record[f"{name}/{columns[0].name}"]]
            for column in plain:
                value = record[f"{name}/{column.name}"]
                text = " ".join(value or ()) if column.is_list else value or ""
                assert text == row[column.name]


def test_croissant_refuses_a_table_without_a_described_column(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "croissant.json", tmp_path)
    duckdb.sql(
        f"COPY (SELECT * EXCLUDE title FROM '{folder}/records.parquet') TO '{tmp_path}/records.parquet'"
    )

    loaded = load_record_sets(tmp_path, "records")

    assert loaded.returncode != 0


def test_the_crate_describes_every_file_and_column(folder: Path) -> None:
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())
    entities = {item["@id"]: item for item in crate["@graph"]}
    described = {name for name, item in entities.items() if item["@type"] == "File"}
    root, about = entities["./"], entities["ro-crate-metadata.json"]
    profile = "https://w3id.org/ro/crate/1.1"

    assert crate["@context"] == [f"{profile}/context", {"sha256": "http://schema.org/sha256"}]
    assert (about["conformsTo"], about["about"]) == ({"@id": profile}, {"@id": "./"})
    assert {"name", "description", "datePublished", "license"} <= set(root)
    assert len(entities) == len(crate["@graph"])
    assert described == {item["@id"] for item in root["hasPart"]}
    assert {path.name for path in folder.iterdir()} - described == {"ro-crate-metadata.json"}
    written_before = {name for name in described if "sha256" in entities[name]}
    later = {name for name in described - written_before if not name.endswith(".minisig")}
    assert later == {"release.json", "SHA256SUMS"}
    for name in written_before:
        assert entities[name]["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    links = [link["@id"] for item in crate["@graph"] for value in item.values() for link in (value if isinstance(value, list) else [value])
             if isinstance(link, dict)]  # fmt: skip
    assert set(links) - set(entities) == {profile}
    columns = {f"{name}.{column.name}" for name, item in TABLES.items() for column in item.columns}
    assert {item["name"] for item in crate["@graph"] if item["@type"] == "PropertyValue"} == columns


def test_words_that_no_crosswalk_knows_do_not_break_a_row(tmp_path: Path) -> None:
    graph, thing, ns = IRIS.record("s", "k"), IRIS.thing("initiative", "s", "k"), IRIS.ns
    triples = [
        f'<{thing}> <http://purl.org/dc/terms/language> "two words"',
        f'<{thing}> <http://purl.org/dc/terms/spatial> "Atlantis"',
        f'<{thing}> <https://schema.org/startDate> "soon"',
        f'<{thing}> <{ns}actionLine> "C12"',
        f"<{graph}> <http://xmlns.com/foaf/0.1/primaryTopic> <{thing}>",
    ]

    lines = sorted(f"{triple} <{graph}> .\n".encode() for triple in triples)
    with closing(open_tables(tmp_path / "work", IRIS)) as tables:
        compute_tables(
            tables, tmp_path / "work", tmp_path / "s.nq.gz", write_texts(lines, tmp_path, "s"), IRIS
        )
        [initiative] = tables.execute(
            "SELECT languages, start_date, start_year FROM initiatives"
        ).fetchall()

        assert initiative == ([], "soon", None)
        assert tables.execute("SELECT concept, code FROM links").fetchall() == [("C12", None)]
        assert tables.execute("SELECT name, area FROM places").fetchall() == [("Atlantis", None)]


def test_graphs_in_several_parts_have_the_rows_of_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 1_000)
    lines = gzip.decompress((folder / "stocktake-1.nq.gz").read_bytes()).splitlines(keepends=True)
    assert len(lines) > 5_000

    with closing(open_tables(tmp_path / "work", IRIS)) as tables:
        compute_tables(
            tables, tmp_path / "work", tmp_path / "s.nq.gz", write_texts(lines, tmp_path, "s"), IRIS
        )
        for item in TABLES.values():
            write_table(tables, item, tmp_path)

    for name in TABLES:
        file = f"{name}.csv.gz"
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), name
