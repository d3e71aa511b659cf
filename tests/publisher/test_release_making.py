"""Releases: cut from the journal, whole or not at all, numbered without gaps, refused where nothing
has changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from publish_fixture import move_on
from pyoxigraph import RdfFormat, parse
from typer.testing import CliRunner

from journal.journal import Journal
from publisher.errors import ReleaseError
from publisher.releases.builder import apply_retention, build_lock, build_release
from publisher.releases.dump import canonical_quads
from publisher.releases.signature import load_key
from publisher.store.releases.manifest import (
    list_releases,
    newest_release,
    read_manifest,
    release_numbers,
)
from stocktake import app
from vocab.iris import Iris

ROOT = Path(__file__).parents[2]
IRIS = Iris()
NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
STAGES = (
    "Writing the dumps", "Writing the rows of the tables", "Writing the tables as CSV and Parquet",
    "Counting the changes since the previous release", "Signing the files", "Publishing the release",
)  # fmt: skip

_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from publisher.releases.builder import build_release
from vocab.iris import Iris

def watch(stage):
    if stage == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

build_release(Path(sys.argv[1]), Iris(), datetime(2026, 4, 1, tzinfo=UTC), watch)
"""


def copied(world: Path, data: Path) -> Path:
    shutil.copytree(world / "journal", data / "journal")
    shutil.copy(world / "status.nq", data / "status.nq")
    return data


def build_releases(data: Path, count: int) -> None:
    """Cut releases, each of one more entry."""
    for number in range(count):
        move_on(data, number)
        build_release(data, IRIS, NOW)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a data folder with a journal of one entry, and a key."""
    move_on(tmp_path)
    load_key(tmp_path / "signing")
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def released(release_data: Path) -> Path:
    """Return a data folder with one release; read it, do not change it."""
    return release_data


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def test_the_quads_are_those_of_the_journal_sorted(released: Path) -> None:
    journal = Journal(released / "journal")

    quads = unpacked(released / "releases/1/stocktake-1.nq.gz").splitlines(keepends=True)

    assert quads == list(canonical_quads(journal, 3))


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("nt", RdfFormat.N_TRIPLES), ("ttl", RdfFormat.TURTLE), ("jsonld", RdfFormat.JSON_LD)],
)
def test_every_form_says_the_same_triples_each_once(
    released: Path, suffix: str, form: RdfFormat
) -> None:
    quads = parse(unpacked(released / "releases/1/stocktake-1.nq.gz"), RdfFormat.N_QUADS)

    results = [
        quad.triple
        for quad in parse(unpacked(released / f"releases/1/stocktake-1.{suffix}.gz"), form)
    ]

    assert len(results) == len(set(results))
    assert set(results) == {quad.triple for quad in quads}


def test_the_status_graph_is_in_no_file(released: Path) -> None:
    files = [path for path in (released / "releases/1").iterdir() if path.suffix == ".gz"]

    assert [path.name for path in files if IRIS.status.encode() + b">" in unpacked(path)] == []


def test_the_manifest_states_bytes_and_sums_of_all_files(released: Path) -> None:
    folder = released / "releases/1"
    release = read_manifest(folder)

    sums = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }

    results = {file.name for file in release.files}
    assert {file.name: (file.bytes, file.sha256) for file in release.files}.items() <= sums.items()
    assert {name for name in sums if not name.endswith(".minisig")} - results == {
        "release.json",
        "SHA256SUMS",
    }
    assert {f"{name}.minisig" for name in (*results, "release.json", "SHA256SUMS")} <= sums.keys()


@pytest.mark.smoke
def test_the_sums_are_checked_by_a_tool_of_the_system(released: Path) -> None:
    process = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=released / "releases/1",
        capture_output=True,
        text=True,
    )

    assert process.returncode == 0, process.stderr
    assert process.stdout.count(": OK") == len(read_manifest(released / "releases/1").files)


def test_a_release_made_twice_has_the_same_bytes(
    world: Path, released: Path, tmp_path: Path
) -> None:
    data = copied(world, tmp_path)
    shutil.copytree(released / "signing", data / "signing")

    build_release(data, IRIS, NOW)

    assert files_of(data / "releases/1") == files_of(released / "releases/1")


def test_an_unchanged_and_an_empty_journal_are_not_released(small: Path) -> None:
    build_release(small, IRIS, NOW)

    unchanged = r"nothing to release: no changes since release 1 of 2026-04-01 .journal entry 1."
    with pytest.raises(ReleaseError, match=unchanged):
        build_release(small, IRIS, NOW)
    with pytest.raises(ReleaseError, match="harvest first"):
        build_release(small / "empty", IRIS, NOW)

    assert release_numbers(small / "releases") == [1]


def test_two_are_not_cut_at_once(small: Path) -> None:
    (small / "releases").mkdir()

    with (
        build_lock(small / "releases"),
        pytest.raises(ReleaseError, match="another release is being built"),
    ):
        build_release(small, IRIS, NOW)


def test_numbers_have_no_gaps_and_each_release_names_the_one_before(small: Path) -> None:
    build_releases(small, 3)

    releases = list_releases(small / "releases")

    results = [(release.number, release.previous, release.position) for release in releases]
    assert results == [(3, 2, 4), (2, 1, 3), (1, None, 2)]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_it_is_not_there_and_the_next_has_its_number(
    small: Path, stage: str
) -> None:
    line = [sys.executable, "-c", _KILLED, str(small), stage]

    killed = subprocess.run(line, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    there = newest_release(small / "releases")
    release = build_release(small, IRIS, NOW)

    assert killed.returncode == -signal.SIGKILL
    assert there is None
    assert release.number == 1
    assert sorted(path.name for path in (small / "releases").iterdir()) == [".lock", "1"]
    assert files_of(small / "releases/1").keys() >= {
        "release.json",
        "release.json.minisig",
        "SHA256SUMS",
    }


def test_of_older_releases_the_manifest_stays(small: Path) -> None:
    build_releases(small, 3)

    removed = apply_retention(small / "releases", 2, NOW)

    assert [item.number for item in removed] == [1]
    assert [path.name for path in (small / "releases/1").iterdir()] == ["release.json"]
    assert read_manifest(small / "releases/1").withdrawn == "2026-04-01T06:00:00Z"
    assert [release.withdrawn for release in list_releases(small / "releases")][:2] == [None, None]


def test_a_removal_that_was_broken_off_is_ended_by_the_next(small: Path) -> None:
    build_releases(small, 2)
    apply_retention(small / "releases", 1, NOW)
    (small / "releases/1/stocktake-1.nq.gz").write_bytes(b"left")

    removed = apply_retention(small / "releases", 1, NOW)

    assert removed == []
    assert [path.name for path in (small / "releases/1").iterdir()] == ["release.json"]


def test_the_command_cuts_a_release_and_says_why_not(small: Path) -> None:
    line = ["--data", str(small), "release", "--json", "--keep", "3"]

    first, second = (CliRunner().invoke(app, line) for _ in range(2))

    assert json.loads(first.stdout)["number"] == 1
    assert (second.exit_code, second.stdout) == (1, "")
    assert "no changes since release 1" in " ".join(second.stderr.split())
