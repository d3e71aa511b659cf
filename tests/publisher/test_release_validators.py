"""The crate and the printed codebook of a release, read by programs in an environment of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from suites import DATA

from publisher.releases.metadata import table_examples
from publisher.releases.tables import TABLES
from vocab.iris import Iris

IRIS = Iris()
LOCK = Path(__file__).parents[1] / "validators.lock"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
# Put a context, of a file, into the cache of roc-validator, as a request for it would.
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
READ_PDF = """
import json, sys, pypdf
reader = pypdf.PdfReader(sys.argv[1])
tagged = reader.root_object["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in reader.root_object
pages = [page.extract_text() for page in reader.pages]
print(json.dumps({"pages": pages, "title": reader.metadata.title, "language": reader.root_object["/Lang"], "tagged": bool(tagged)}))
"""


@pytest.fixture(scope="module")
def folder(release_data: Path) -> Path:
    """Return the folder of a release; read it, do not change it."""
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


@pytest.fixture(scope="module")
def printed(validators: Path, folder: Path) -> dict[str, Any]:
    line = [str(validators / "python"), "-c", READ_PDF, str(folder / "codebook.pdf")]
    document: dict[str, Any] = json.loads(
        subprocess.run(line, capture_output=True, check=True, timeout=120).stdout
    )
    return document


def changed_crate(
    folder: Path, copy: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """Copy a crate, change its metadata, of which *change* receives the whole and the root entity,
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
        # the context of 1.1 lacks sha256
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


def test_the_printed_codebook_is_tagged_and_has_a_title(printed: dict[str, Any]) -> None:
    assert (printed["title"], printed["language"], printed["tagged"]) == (
        "WSIS Stocktaking, release 1: codebook",
        "en",
        True,
    )


def test_the_printed_codebook_has_every_column_of_every_table(printed: dict[str, Any]) -> None:
    text = re.sub(r"[\s\u200b]+", "", "".join(printed["pages"]))  # lines break within names

    for table in TABLES.values():
        assert re.sub(r"\s", "", f"A row is {table.row}.") in text
        for column in table.columns:
            assert column.name in text
            assert re.sub(r"\s", "", column.description).replace("'", "’") in text.replace("'", "’")
            assert [value for value in (*column.values, *column.schemes) if value not in text] == []


def test_the_printed_codebook_has_examples_that_its_fonts_can_print(
    printed: dict[str, Any], folder: Path
) -> None:
    text = re.sub(r"[\s\u200b]+", "", "".join(printed["pages"]))
    examples = [
        text
        for columns in table_examples(folder).values()
        for texts in columns.values()
        for text in texts
    ]
    latin = [example for example in examples if example.isascii()]

    assert len(latin) > 50
    assert [example for example in latin if re.sub(r"\s", "", example) not in text] == []
    assert not re.search("[\u0590-\u1dff\u3000-\uffff]", text)
