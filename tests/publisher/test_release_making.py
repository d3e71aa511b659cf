"""Releases are built from the journal, as a whole or not at all; they are numbered without gaps,
and refused where nothing has changed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import minisign
import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from datacite import schema45
from processes import Process
from publish_fixture import move_on
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Triple, parse
from rows import each
from typer.testing import CliRunner
from waiting import wait_until

from journal.journal import Journal
from publisher.errors import ReleaseError
from publisher.releases.builder import apply_retention, build_lock, build_release
from publisher.releases.dump import TEXT_FORMATS, canonical_quads, write_json_lines, write_texts
from publisher.releases.metadata import render
from publisher.releases.schedule import attempt, first_due
from publisher.releases.signature import load_key, public_key_text, sign
from publisher.store.releases import (
    File,
    Release,
    ReleaseSource,
    list_releases,
    newest_release,
    read_manifest,
    release_numbers,
)
from stocktake import app
from vocab.iris import Iris
from web.respond import GRAPHS

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
    """Build releases, each with one more entry of the journal."""
    for number in range(count):
        move_on(data, number)
        build_release(data, IRIS, NOW)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Return a data folder with a journal of one entry, and a key."""
    move_on(tmp_path)
    load_key(tmp_path / "signing")
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def released(release_data: Path) -> Path:
    """Return a data folder with one release, which tests share and must not change."""
    return release_data


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def test_the_quads_are_those_of_the_journal_sorted_without_the_status_graph(released: Path) -> None:
    journal = Journal(released / "journal")

    quads = unpacked(released / "releases/1/stocktake-1.nq.gz").splitlines(keepends=True)

    assert quads == list(canonical_quads(journal, 3))

    files = [path for path in (released / "releases/1").iterdir() if path.suffix == ".gz"]

    assert [path.name for path in files if IRIS.status.encode() + b">" in unpacked(path)] == []


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
    line, folder = ["sha256sum", "--check", "--strict", "SHA256SUMS"], released / "releases/1"
    process = subprocess.run(line, cwd=folder, capture_output=True, text=True)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count(": OK") == len(read_manifest(released / "releases/1").files)


def test_a_release_made_twice_has_the_same_bytes(
    world: Path, released: Path, tmp_path: Path
) -> None:
    data = copied(world, tmp_path)
    shutil.copytree(released / "signing", data / "signing")

    build_release(data, IRIS, NOW)

    assert files_of(data / "releases/1") == files_of(released / "releases/1")


def test_an_unchanged_and_an_empty_journal_are_not_released(few: Path) -> None:
    build_release(few, IRIS, NOW)

    unchanged = r"nothing to release: no changes since release 1 of 2026-04-01 .journal entry 1."
    with pytest.raises(ReleaseError, match=unchanged):
        build_release(few, IRIS, NOW)
    with pytest.raises(ReleaseError, match="harvest first"):
        build_release(few / "empty", IRIS, NOW)

    assert release_numbers(few / "releases") == [1]


def test_two_are_not_cut_at_once(few: Path) -> None:
    (few / "releases").mkdir()

    with (
        build_lock(few / "releases"),
        pytest.raises(ReleaseError, match="another release is being built"),
    ):
        build_release(few, IRIS, NOW)


def test_numbers_have_no_gaps_and_of_older_releases_the_manifest_stays(few: Path) -> None:
    build_releases(few, 3)

    releases = list_releases(few / "releases")

    results = [(release.number, release.previous, release.position) for release in releases]
    assert results == [(3, 2, 4), (2, 1, 3), (1, None, 2)]

    removed = apply_retention(few / "releases", 2, NOW)

    assert [item.number for item in removed] == [1]
    assert [path.name for path in (few / "releases/1").iterdir()] == ["release.json"]
    assert read_manifest(few / "releases/1").withdrawn == "2026-04-01T06:00:00Z"
    assert [release.withdrawn for release in list_releases(few / "releases")][:2] == [None, None]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_it_is_not_there_and_the_next_has_its_number(
    few: Path, stage: str
) -> None:
    line = [sys.executable, "-c", _KILLED, str(few), stage]

    killed = subprocess.run(line, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    there = newest_release(few / "releases")
    release = build_release(few, IRIS, NOW)

    assert killed.returncode == -signal.SIGKILL
    assert there is None
    assert release.number == 1
    assert sorted(path.name for path in (few / "releases").iterdir()) == [".lock", "1"]
    assert files_of(few / "releases/1").keys() >= {
        "release.json",
        "release.json.minisig",
        "SHA256SUMS",
    }


def test_a_removal_that_was_broken_off_is_ended_by_the_next(few: Path) -> None:
    build_releases(few, 2)
    apply_retention(few / "releases", 1, NOW)
    (few / "releases/1/stocktake-1.nq.gz").write_bytes(b"left")

    removed = apply_retention(few / "releases", 1, NOW)

    assert removed == []
    assert [path.name for path in (few / "releases/1").iterdir()] == ["release.json"]


def test_the_command_cuts_a_release_and_says_why_not(few: Path) -> None:
    line = ["--data", str(few), "release", "--json", "--keep", "3"]

    first, second = (CliRunner().invoke(app, line) for _ in range(2))

    assert json.loads(first.stdout)["number"] == 1
    assert (second.exit_code, second.stdout) == (1, "")
    assert "no changes since release 1" in str(second.exception)


S, P = NamedNode("https://x.org/s"), NamedNode("https://x.org/p#q")
OBJECTS: list[NamedNode | Literal] = [
    NamedNode("https://x.org/ü?a=1&b='c'"), Literal("plain"), Literal('quotes " and \\ and \\" and ends in \\'),
    Literal("lines\n\r\ttabs \b \f \x00 \x1f \x7f"), Literal("中文 😀 \ufffe"), Literal("chat", language="zh-hans"),
    Literal("1.5", datatype=NamedNode("http://www.w3.org/2001/XMLSchema#decimal")), Literal('"@en'), Literal(""),
]  # fmt: skip


def test_every_term_survives_every_form(tmp_path: Path) -> None:
    triples = [Triple(S, P, item) for item in OBJECTS] + [
        Triple(S, NamedNode("http://purl.org/dc/terms/title"), Literal("t"))
    ]

    written = write_texts(
        sorted(
            f"{triple} <https://x.org/g{graph}> .\n".encode()
            for triple in triples
            for graph in (1, 2)
        ),
        tmp_path,
        "all",
    )

    assert (written.quads, written.triples) == (2 * len(triples), len(triples))
    for form in TEXT_FORMATS:
        text = gzip.decompress((tmp_path / f"all.{form}.gz").read_bytes())
        read = [quad.triple for quad in parse(text, GRAPHS[form].writer)]
        assert (len(read), set(read)) == (len(triples), set(triples))


@each("longest", [1, 2, 3, 7, 1000])
def test_a_subject_a_line_and_one_with_many_triples_on_several(longest: int) -> None:
    triples = [
        Quad(NamedNode(f"https://x.org/{subject}"), P, Literal(f"{value:02}"))
        for subject in "abc"
        for value in range(5)
    ]
    out = io.BytesIO()

    write_json_lines(triples, out, longest)

    first, *lines, last, end = out.getvalue().split(b"\n")
    assert (first, last, end) == (b"[", b"]", b"")
    subjects = [json.loads(line.rstrip(b","))["@id"][-1] for line in lines]
    assert subjects == sorted("abc" * -(-5 // longest))
    assert set(parse(out.getvalue(), RdfFormat.JSON_LD)) == set(triples)


def verified(path: Path, public: bytes) -> None:
    """Verify the signature of a file by the description of the format, without minisign.

    Source: https://jedisct1.github.io/minisign/#signature-format
    """
    _, signature, comment, whole = (
        path.with_name(path.name + ".minisig").read_bytes().rstrip(b"\n").split(b"\n")
    )
    known, output = base64.b64decode(public), base64.b64decode(signature)
    assert (known[:2], output[:2], output[2:10]) == (b"Ed", b"ED", known[2:10])
    holder = Ed25519PublicKey.from_public_bytes(known[10:])
    holder.verify(output[10:], hashlib.blake2b(path.read_bytes()).digest())
    holder.verify(base64.b64decode(whole), output[10:] + comment.removeprefix(b"trusted comment: "))


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """Return a signed file; the keys are in the folder signing beside it."""
    path = tmp_path / "file.gz"
    path.write_bytes(b"content " * 100_000)
    with load_key(tmp_path / "signing") as secret:
        sign(path, secret, "timestamp:1")
    return path


def public_key(signed: Path) -> bytes:
    return (signed.parent / "signing/stocktake.pub").read_bytes().splitlines()[1]


def test_a_file_that_was_touched_is_found_out_and_so_is_its_comment(signed: Path) -> None:
    beside, whole = signed.with_name("file.gz.minisig"), signed.read_bytes()
    verified(signed, public_key(signed))  # It raises if the signature is wrong.
    assert len(base64.b64decode(public_key(signed))) == 42
    signed.write_bytes(whole + b".")
    with pytest.raises(InvalidSignature):
        verified(signed, public_key(signed))
    signed.write_bytes(whole)
    beside.write_bytes(beside.read_bytes().replace(b"timestamp:1", b"timestamp:2"))

    with pytest.raises(InvalidSignature):
        verified(signed, public_key(signed))


@pytest.mark.skipif(
    shutil.which("minisign") is None, reason="the program minisign is not installed"
)
@pytest.mark.smoke
def test_a_signature_is_verified_by_minisign_itself(signed: Path) -> None:
    public = signed.parent / "signing/stocktake.pub"

    completed = subprocess.run(
        ["minisign", "-Vm", str(signed), "-p", str(public)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 0, completed.stderr


def test_the_key_is_made_once_and_only_its_owner_reads_it_and_what_is_none_is_not_replaced(
    tmp_path: Path,
) -> None:
    first, second = (public_key_text(load_key(tmp_path).get_public_key()) for _ in range(2))

    assert first == second
    assert (tmp_path / "stocktake.key").stat().st_mode & 0o777 == 0o600

    (tmp_path / "stocktake.key").write_text("no key\n")

    with pytest.raises(minisign.Error):
        load_key(tmp_path)

    assert (tmp_path / "stocktake.key").read_text() == "no key\n"


MONTHLY = "0 4 1 * *"


def release_of(issued: str) -> Release:
    return Release(1, "https://x.org/release/1", 1, "ab", issued, None, {}, {})


@pytest.mark.parametrize(
    ("issued", "now", "due"),
    [
        ("2026-04-01T04:00:00Z", datetime(2026, 4, 30, 23, 59, tzinfo=UTC), False),
        ("2026-04-01T04:00:00Z", datetime(2026, 5, 1, 4, 0, tzinfo=UTC), True),
        ("2026-04-01T03:59:59Z", datetime(2026, 4, 1, 4, 0, tzinfo=UTC), True),
        (None, datetime(2026, 4, 1, tzinfo=UTC), False),
    ],
)
def test_a_release_is_overdue_when_its_time_has_passed_since_the_last(
    issued: str | None, now: datetime, due: bool
) -> None:
    first = first_due(MONTHLY, release_of(issued) if issued else None, now)

    assert first is not None
    assert (first <= now) is due


def test_where_nothing_has_changed_the_schedule_goes_on() -> None:
    def cut() -> Release:
        raise ReleaseError("nothing has changed")

    assert attempt(cut) is None


def test_what_was_due_is_made_up_for_once_and_the_process_ends_when_asked(tmp_path: Path) -> None:
    move_on(tmp_path, 1)
    build_release(tmp_path, Iris(), datetime(2026, 4, 1, tzinfo=UTC))
    move_on(tmp_path, 2)
    line = [
        sys.executable,
        "-m",
        "stocktake",
        "--data",
        str(tmp_path),
        "release",
        "--every",
        MONTHLY,
    ]
    before = datetime.now(UTC).replace(microsecond=0)
    process = Process(line, env=os.environ | {"PYTHONPATH": str(ROOT)})
    wait_until(
        lambda: "release 2" in process.output(), "the release that was due", output=process.output
    )
    result = process.output()
    code = process.stop()

    assert "release 2 of journal entry 2" in result
    assert (code, release_numbers(tmp_path / "releases")) == (0, [1, 2])
    last = newest_release(tmp_path / "releases")
    assert last is not None
    assert before <= datetime.fromisoformat(last.issued) <= datetime.now(UTC)


@pytest.mark.parametrize(
    "line", [["release", "--every", "monthly"], ["--releases", "61 * * * *", "up"]]
)
def test_a_line_that_is_no_cron_line_is_refused(tmp_path: Path, line: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["--data", str(tmp_path), *line])

    assert outcome.exit_code == 2
    # On a terminal the message has colours and a frame.
    result = re.sub(r"\x1b\[[0-9;]*m|│", " ", outcome.output)
    assert "of five fields" in " ".join(result.split())


BY = "https://creativecommons.org/licenses/by/4.0/"
SOURCES = (ReleaseSource("a", 'The "A": registry', "Ministry", BY), ReleaseSource("b", "B", "", ""))
RELEASE = Release(
    4, "https://x.org/release/4", 17, "ab" * 32, "2026-04-01T06:00:00Z", 3, {"records": 5, "statements": 99}, {}, SOURCES,
    (File("a.nq.gz", "application/n-quads", 1, "00"),),
)  # fmt: skip


def test_datacite_zenodo_and_the_citation_file_get_what_they_ask_for() -> None:
    result = json.loads(render("datacite.json", RELEASE))

    assert schema45.validate(result)
    assert "<version>4</version>" in schema45.tostring(result)
    assert result["publicationYear"] == "2026"
    assert result["relatedIdentifiers"] == [
        {"relatedIdentifier": "https://x.org/release/3", "relatedIdentifierType": "URL", "relationType": "IsNewVersionOf"},
    ]  # fmt: skip

    result = json.loads(render("zenodo.json", RELEASE))

    must = {
        "upload_type", "publication_date", "title", "creators", "description", "access_right", "license",
    }  # fmt: skip
    assert must <= result.keys()
    assert all(result[name] for name in must)

    result = yaml.safe_load(render("CITATION.cff", RELEASE))

    assert {"cff-version", "message", "title", "authors"} <= result.keys()
    assert (result["cff-version"], result["type"], result["version"]) == ("1.2.0", "dataset", "4")
    assert (result["date-released"], result["license"]) == ("2026-04-01", "CC-BY-4.0")
    assert result["url"] == "https://x.org/release/4"
    assert result["references"][0]["title"] == 'The "A": registry'
    assert result["references"][1]["authors"] == [{"name": "B"}]


@each(
    "licences, zenodo, spdx",
    [((BY, BY), "cc-by-4.0", "CC-BY-4.0"), ((BY, "https://creativecommons.org/publicdomain/zero/1.0/"), "other-open", None),
     (("https://example.org/terms",), "other-open", None), ((), "other-open", None)],
)  # fmt: skip
def test_a_release_of_several_licences_claims_none_of_them(
    licences: tuple[str, ...], zenodo: str, spdx: str | None
) -> None:
    release = replace(
        RELEASE,
        sources=tuple(
            ReleaseSource(str(number), "t", "p", item) for number, item in enumerate(licences)
        ),
    )

    result = yaml.safe_load(render("CITATION.cff", release))

    assert json.loads(render("zenodo.json", release))["license"] == zenodo
    assert result.get("license") == spdx


def test_each_citation_of_a_demo_release_says_that_its_data_are_made_up() -> None:
    release = replace(RELEASE, demo=True)
    title = "Demonstration data: WSIS Stocktaking, release 4"
    note = "Demonstration data: registries, projects and organizations are made up."

    cff = yaml.safe_load(render("CITATION.cff", release))
    datacite: dict[str, Any] = json.loads(render("datacite.json", release))
    zenodo: dict[str, Any] = json.loads(render("zenodo.json", release))

    assert [cff["title"], datacite["titles"][0]["title"], zenodo["title"]] == [title] * 3
    assert cff["abstract"].startswith(note)
    assert datacite["descriptions"][0]["description"].startswith(note)
    assert zenodo["description"].startswith(note)
