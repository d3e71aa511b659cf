"""The recipes of the documentation count the tables of a release correctly, in each tool."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from snippets import ROOT, read_snippets
from suites import DATA

from publisher.releases.tables import TABLES, open_tables, write_table
from vocab.iris import Iris

RECIPES = ROOT / "docs" / "how-to" / "use-the-tables.md"
# Initiatives a and b are one; c is another; e is an event.
LINKS = (
    ("a", "initiative", "action-line", "C1", "declared"), ("b", "initiative", "action-line", "C1", "declared"),
    ("c", "initiative", "action-line", "C1", "declared"), ("c", "initiative", "action-line", "C2", "declared"),
    ("a", "initiative", "action-line", "C3", "suggested"), ("a", "initiative", "goal", "4", "declared"),
    ("e", "event", "action-line", "C1", "declared"),
)  # fmt: skip
PLACES = (
    ("a", "initiative", "004", None, None), ("b", "initiative", "004", None, None), ("c", "initiative", "004", None, None),
    ("c", "initiative", "250", None, None), ("c", "initiative", None, 48.862, 0.0), ("e", "event", "250", 1.5, 2.5),
)  # fmt: skip
INITIATIVES = (
    ("a", "a", "Café", 2020, ["C1"]),
    ("b", "a", "Café", 2020, ["C1"]),
    ("c", "c", "诊所", 2020, ["C1", "C2"]),
    ("d", "d", "Undated", None, ["C1"]),
)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the tables and the names of countries, as the page's first commands leave them, into
    the current folder.
    """
    tables = {
        "links": (("thing", "kind", "scheme", "code", "basis"), LINKS),
        "places": (("thing", "kind", "code", "latitude", "longitude"), PLACES),
        "initiatives": (("thing", "cluster", "title", "start_year", "action_lines"), INITIATIVES),
        "merged": (
            ("thing", "kind", "cluster"),
            [(name, "initiative", "cluster") for name in "ab"],
        ),
    }
    with closing(open_tables(tmp_path / "work", Iris())) as database:
        for table, (names, rows) in tables.items():
            marks = ", ".join("?" * len(names))
            database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)
        for item in TABLES.values():
            write_table(database, item, tmp_path)
    countries = "code,country\n004,Afghanistan\n250,France\n"
    (tmp_path / "countries.csv").write_text(countries, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _ran(line: list[str], program: str, **environment: str) -> str:
    """Run a command that reads *program* from its standard input; return what it prints."""
    return subprocess.run(
        line,
        input=program,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, **environment},
    ).stdout


def _recipe(language: str, first_line: str, last_line: str = "") -> str:
    """Return the only block of *language* that has both texts."""
    (text,) = [
        s.text
        for s in read_snippets(RECIPES)
        if s.language == language and first_line in s.text and last_line in s.text
    ]
    return text


def _variables(program: str) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    exec(program, variables)
    return variables


@pytest.mark.usefixtures("release")
def test_duckdb_counts_a_cluster_once_and_polars_each_item_of_a_list() -> None:
    rows = duckdb.execute(_recipe("sql", "action_line")).fetchall()
    assert rows == [("C1", 2), ("C2", 1)]

    counts = _variables(_recipe("python", "polars"))["counts"]

    assert counts.rows() == [(2020, "C1", 2), (2020, "C2", 1)]


def test_pandas_counts_countries_whose_codes_keep_their_zeros_and_points_with_titles(
    release: Path,
) -> None:
    for name, expected in (
        ("by-country.csv", "code,initiatives,country\n004,2,Afghanistan\n250,1,France\n"),
        ("points.csv", "thing,name,latitude,longitude,title,source\nc,,48.862,0.0,诊所,\n"),
    ):
        _variables(_recipe("python", "pandas", name))
        assert (release / name).read_text(encoding="utf-8") == expected


@pytest.mark.smoke
@pytest.mark.usefixtures("release")
def test_r_counts_a_cluster_once_and_declared_lines_only() -> None:
    if (program := shutil.which("Rscript")) is None:
        pytest.skip("Rscript is not installed")

    printed = _ran([program, "-"], _recipe("r", "links.csv.gz"))

    assert re.findall(r"\w+", printed) == ["C1", "C2", "2", "1"]


def _python_of_qgis() -> str | None:
    """Return a Python of the system that has QGIS, None if there is none."""
    for program in {
        shutil.which("python3", path=folder) for folder in ("/usr/bin", "/usr/local/bin")
    } - {None}:
        line = [str(program), "-c", "import qgis.core"]
        if subprocess.run(line, capture_output=True, timeout=120, check=False).returncode == 0:
            return program
    return None


def test_qgis_opens_points_with_titles_and_countries_whose_codes_keep_their_zeros(
    release: Path,
) -> None:
    if (program := _python_of_qgis()) is None:
        pytest.skip("QGIS is not installed")
    for last_line in ("by-country.csv", "points.csv"):
        _variables(_recipe("python", "pandas", last_line))
    begin = "from qgis.core import QgsApplication\napplication = QgsApplication([], False)\napplication.initQgis()\n"
    end = (
        "import json\n"
        "def row(feature): return [feature.attributeMap(), [*feature.geometry().asPoint()] if feature.hasGeometry() else None]\n"
        "rows = [[row(feature) for feature in item.getFeatures()] for item in layers]\n"
        "print(json.dumps([len(QgsProject.instance().mapLayers()), layers[0].crs().authid(), rows], default=str))\n"
    )
    recipe = _recipe("python", "qgis.core").replace("/path/to/files", str(release))

    script = begin + recipe + end

    printed = _ran([program, "-"], script, QT_QPA_PLATFORM="offscreen", HOME=str(release))

    number, system, (points, countries) = json.loads(printed)
    assert (number, system) == (2, "EPSG:4326")
    assert [(row["title"], position) for row, position in points] == [("诊所", [0.0, 48.862])]
    assert [(row["code"], row["initiatives"]) for row, _ in countries] == [
        ("004", "2"),
        ("250", "1"),
    ]


IRIS = Iris()
LOCK = Path(__file__).parents[1] / "validators.lock"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
# This puts the context in a file into the cache of roc-validator, as a request for it would.
CACHE_CONTEXT = """
import io, pathlib, sys, requests, requests.adapters, requests_cache, urllib3

class FromFile(requests.adapters.HTTPAdapter):
    def send(self, request, **options):
        headers = {"Content-Type": "application/ld+json"}
        body = io.BytesIO(pathlib.Path(sys.argv[3]).read_bytes())
        return self.build_response(request, urllib3.HTTPResponse(body, headers, 200, preload_content=False))

session = requests_cache.CachedSession(sys.argv[1], backend="sqlite")
session.mount(sys.argv[2], FromFile())
session.get(sys.argv[2], headers={"Accept": "application/ld+json, application/json"}).raise_for_status()
"""


@pytest.fixture(scope="module")
def folder(release_data: Path) -> Path:
    """Return the folder of a release, which tests share and must not change."""
    return release_data / "releases/1"


@pytest.fixture(scope="module")
def validators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install validators.lock into an environment of its own, and return its folder of commands;
    skip where there is no package index.
    """
    environment = tmp_path_factory.mktemp("validators") / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run(
        [*uv, "venv", "--quiet", "--no-config", "--python", sys.executable, str(environment)],
        check=True,
        timeout=120,
    )
    commands = environment / "bin"
    install = [
        *uv, "pip", "install", "--quiet", "--no-config", "--python", str(commands / "python"), "--require-hashes",
    ]  # fmt: skip
    completed = subprocess.run(
        [*install, "--requirement", str(LOCK)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if completed.returncode:
        pytest.skip(
            f"the packages of {LOCK.name} could not be installed: {completed.stderr.strip()[-300:]}"
        )
    return commands


@pytest.fixture(scope="module")
def validate(
    validators: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], dict[str, Any]]:
    """Return the function that validates a crate with all requirements and recommendations of
    RO-Crate 1.1, and returns the report.
    """
    context = DATA / "rocrate-0.9.0/rocrate/data/ro-crate.jsonld"
    if not context.exists():
        pytest.skip("rocrate, which has the context of RO-Crate, is not here: run `make install`")
    work = tmp_path_factory.mktemp("crates")
    cache = work / "cache"
    line = [str(validators / "python"), "-c", CACHE_CONTEXT, str(cache), CONTEXT, str(context)]
    subprocess.run(line, check=True, timeout=120)

    def validate(crate: Path) -> dict[str, Any]:
        report = work / f"{crate.name}.json"
        options = [
            "--offline", "--cache-path", str(cache), "--profile-identifier", "ro-crate-1.1", "--requirement-severity", "recommended",
        ]  # fmt: skip
        options += ["--no-paging", "--output-format", "json", "--output-file", str(report)]
        command = [str(validators / "rocrate-validator"), "-y", "validate", *options, str(crate)]
        completed = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False
        )
        assert report.exists(), completed.stdout + completed.stderr
        document: dict[str, Any] = json.loads(report.read_text())
        return document

    return validate


def changed_crate(
    folder: Path, copy: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """Copy a crate, pass its metadata and its root entity to *change*, write what that changed,
    and return the copy.
    """
    shutil.copytree(folder, copy)
    file = copy / "ro-crate-metadata.json"
    crate = json.loads(file.read_text())
    change(crate, next(item for item in crate["@graph"] if item["@id"] == "./"))
    file.write_text(json.dumps(crate))
    return copy


@pytest.mark.smoke
def test_the_crate_fulfils_requirements_and_recommendations(
    validate: Callable[[Path], dict[str, Any]], folder: Path
) -> None:
    report = validate(folder)

    assert report["issues"] == []
    assert report["passed"] is True


@pytest.mark.parametrize(
    ("name", "change"),
    [
        # The context of RO-Crate 1.1 has no sha256.
        ("undefined-key", lambda crate, root: crate.update({"@context": CONTEXT})),
        ("without-date", lambda crate, root: root.pop("datePublished")),
    ],
)
def test_a_faulty_crate_is_refused(
    validate: Callable[[Path], dict[str, Any]],
    folder: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[dict[str, Any], dict[str, Any]], None],
) -> None:
    report = validate(changed_crate(folder, tmp_path / name, change))

    assert report["passed"] is False
    assert "REQUIRED" in {issue["severity"] for issue in report["issues"]}


def test_a_crate_without_a_file_that_it_describes_is_refused(
    validate: Callable[[Path], dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "without-file"
    shutil.copytree(folder, copy)
    (copy / "links.parquet").unlink()

    report = validate(copy)

    assert report["passed"] is False
    assert any("links.parquet" in json.dumps(issue) for issue in report["issues"])
