from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from _pytest.mark import ParameterSet
from damage import damage_each, largest_files
from projects import NOON, project
from typer.testing import CliRunner, Result

from harvesters.errors import LedgerError
from harvesters.ledger.integrity import ledger_faults, require_intact
from harvesters.ledger.models import compress, decompress
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest
from harvesters.runs.status_file import write_status
from harvesters.source import Source
from journal.errors import ChainError
from journal.files import FileLock
from journal.journal import Journal
from publisher.app import create_app
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from publisher.releases.signature import release_faults
from publisher.store import releases as release_stores
from publisher.store.query_service import QueryService
from publisher.store.snapshots import write_checksums
from publisher.store.verification import build_local, first_fault, repair_files, store_faults
from stocktake import app
from vocab.iris import BASE, Iris

IRIS = Iris(BASE)
FLIPPED = 64  # bytes
# Two graphs of the vocabulary are enough: each check reads all statements several times.
VOCABULARY = ("scheme/action-line", "scheme/status")
# Files that the journal can rebuild, and the part that names each.
DERIVED = [
    ("store/snapshots/*/store/*.sst", "store"), ("store/snapshots/*/store/MANIFEST-*", "store"),
    ("store/snapshots/*/store/CURRENT", "store"), ("store/snapshots/*/text/*.store", "store"), ("store/snapshots/*/text/*.term", "store"),
    ("store/snapshots/*/columns/columns.duckdb", "store"), ("store/snapshots/*/about.json", "store"),
    ("store/snapshots/*/checksums.json", "store"), ("status.nq", "status"),
    ("store/releases/1/store/*.sst", "release stores"), ("store/releases/1/columns/columns.duckdb", "release stores"),
    ("dumps/*.nq.gz", "dumps"), ("dumps/*.ttl.gz.sha256", "dumps"),
]  # fmt: skip
# Files that a person must restore.
ORIGINAL = [
    ("journal/000000001*", "journal"), ("journal/000000002*", "journal"), ("archive/*/*.warc.gz", "archive"),
    ("releases/1/*.nq.gz", "releases"), ("releases/1/initiatives.parquet", "releases"), ("releases/1/release.json", "releases"),
    ("releases/1/SHA256SUMS", "releases"), ("releases/1/initiatives.csv.gz.minisig", "releases"),
    ("signing/stocktake.key", "signing key"), ("signing/stocktake.pub", "signing key"),
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the first test that needs the data directory keeps a copy for the
    others.
    """
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def filled(
    template: Path, tmp_path: Path, context: HarvestContext, source: Source, registry: Any
) -> Path:
    if not (template / "data").exists():
        shutil.copytree(_fill(context, source, registry), template / "data")
    return Path(shutil.copytree(template / "data", tmp_path / "filled"))


def _fill(context: HarvestContext, source: Source, registry: Any) -> Path:
    publish_vocabulary(context, VOCABULARY)
    harvest(source, context)
    registry.projects.append(project(11))
    harvest(source, context)
    write_status(context)
    data = context.data
    context.ledger.close()
    build_local(data, IRIS)
    write_dumps(Journal(data / "journal"), data / "dumps")
    release = build_release(data, IRIS, datetime(2026, 3, 2, tzinfo=UTC), lambda _: None)
    release_stores.create_store(data, release, IRIS)
    shutil.copy(data.parent / "ledger.sqlite", data / "ledger.sqlite")
    return data


def _run(data: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["--data", str(data), "verify", *options])


def _states(result: Result) -> dict[str, str]:
    return {name: part["state"] for name, part in json.loads(result.stdout).items()}


def _damage(path: Path) -> None:
    """Invert 64 bytes in the middle of a file, or all of a smaller one; of a database, the
    beginning of each page or block.
    """
    if path.suffix == ".db":
        _damage_pages(path)
        return
    content = bytearray(path.read_bytes())
    if path.suffix == ".duckdb":  # blocks of 256 KiB behind three headers
        for start in range(3 * 4096, len(content), 1 << 18):
            content[start + 8] ^= 0xFF
    else:
        middle = slice(max(0, len(content) // 2 - FLIPPED // 2), len(content) // 2 + FLIPPED // 2)
        content[middle] = bytes(byte ^ 0xFF for byte in content[middle])
    path.write_bytes(content)


def _damage_pages(path: Path) -> None:
    """Overwrite the header of each page of an SQLite file but the first."""
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)


def _largest(data: Path, pattern: str) -> Path:
    """Return the largest file of a pattern.

    A file of a snapshot is one of the newest, since the one before is not served.
    """
    newest = max((data / "store" / "snapshots").glob("[0-9]*"))
    paths = [path for path in data.glob(pattern) if path.is_file()]
    in_newest = [path for path in paths if newest in path.parents]
    return max(in_newest or paths, key=lambda path: path.stat().st_size)


def _store_faults(data: Path) -> list[str]:
    return [fault.name for fault in store_faults(data)]


def _repair_store(data: Path) -> list[str]:
    """Repair the store, check that no fault is left, and return the names of the damaged files."""
    faults = list(store_faults(data))
    repair_files(data, IRIS, faults)
    assert _store_faults(data) == []
    return [fault.name for fault in faults]


def test_an_undamaged_directory_is_sound(filled: Path) -> None:
    result = _run(filled, "--json")

    assert result.exit_code == 0, result.output
    assert set(_states(result).values()) == {"sound"}
    require_intact(f"sqlite:///{filled}/ledger.sqlite")
    require_intact("postgresql://nobody@127.0.0.1:1/none")  # PostgreSQL checks itself


def test_a_damaged_dump_of_an_older_entry_is_written_again_at_that_entry(filled: Path) -> None:
    older = write_dumps(Journal(filled / "journal"), filled / "dumps", 2)
    before = {path.name: path.read_bytes() for path in older}
    for path in older:
        _damage(path)

    result, repaired = _run(filled, "--json"), _run(filled, "--repair", "--json")

    assert (result.exit_code, repaired.exit_code) == (1, 0), repaired.output
    assert _states(repaired)["dumps"] == "repaired"
    assert {path.name: path.read_bytes() for path in older} == before


def _rounds(files: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the patterns of *files* in rounds, by their parts: a round has at most one pattern of
    each part, and each pattern is in one round.
    """
    patterns: dict[str, list[str]] = {}
    for pattern, part in files:
        patterns.setdefault(part, []).append(pattern)
    return [
        {part: those[number] for part, those in patterns.items() if number < len(those)}
        for number in range(max(map(len, patterns.values())))
    ]


def _by_day(rounds: list[dict[str, str]], *numbers: int) -> list[ParameterSet]:
    """Return the rounds as parameters: those of *numbers* for each run, the others for every night."""
    night = pytest.mark.nightly
    return [
        pytest.param(row, marks=() if number in numbers else night, id=" ".join(row.values()))
        for number, row in enumerate(rounds)
    ]


@pytest.mark.parametrize("damaged", _by_day(_rounds(DERIVED), 0, 3))
def test_every_damaged_derived_file_is_found_and_rebuilt(
    filled: Path, damaged: dict[str, str]
) -> None:
    for pattern in damaged.values():
        _damage(_largest(filled, pattern))

    result, repaired = _run(filled, "--json"), _run(filled, "--repair", "--json")

    states = {part: state for part, state in _states(result).items() if state != "sound"}
    rebuilt = {part for part, state in _states(repaired).items() if state == "repaired"}
    assert (result.exit_code, repaired.exit_code) == (1, 0), result.output + repaired.output
    assert states == dict.fromkeys(damaged, "damaged"), result.output
    assert rebuilt == {*damaged}, repaired.output


@pytest.mark.parametrize("damaged", _by_day(_rounds(ORIGINAL), 0))
def test_every_damaged_original_file_is_found_and_named_with_the_remedy(
    filled: Path, damaged: dict[str, str]
) -> None:
    paths = [_largest(filled, pattern) for pattern in damaged.values()]
    for path in paths:
        _damage(path)

    result = _run(filled, "--repair")

    assert result.exit_code == 1, result.output
    for part, path in zip(damaged, paths, strict=True):
        [fault] = [line for line in result.stdout.splitlines() if path.name in line][:1]
        assert "restore" in fault
        assert f"{part}:" in result.stdout


async def test_a_damaged_manifest_of_a_release_is_answered_503_and_named(filled: Path) -> None:
    _damage(filled / "releases/1/release.json")
    app = create_app(QueryService(filled, IRIS, follow=False))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        paths = ("/releases/", "/releases/1/", "/data.json", "/")
        codes = [(await client.get(path)).status_code for path in paths]
        (fault,) = (await client.get("/health")).json()["faults"]

    assert codes == [503, 503, 503, 200]
    assert (fault["part"], "restore" in fault["remedy"]) == ("releases", True)
    (fault,) = release_faults(filled / "releases")
    assert fault.name == "releases/1/release.json"


def test_a_damaged_older_snapshot_is_found_and_deleted_and_the_newest_stays(filled: Path) -> None:
    newest = max((filled / "store" / "snapshots").glob("[0-9]*"))
    older = newest.with_name(f"{int(newest.name) - 1:09d}")
    shutil.rmtree(older, ignore_errors=True)
    shutil.copytree(newest, older)
    _damage(max(older.rglob("*.sst"), key=lambda path: path.stat().st_size))
    before = (newest / "checksums.json").read_bytes()

    assert [name.split("/")[2] for name in _repair_store(filled)] == [older.name]
    assert (older.exists(), (newest / "checksums.json").read_bytes()) == (False, before)


def test_a_file_that_was_damaged_before_the_next_snapshot_links_it_is_found(tmp_path: Path) -> None:
    before, after = tmp_path / "snapshots" / "000000001", tmp_path / "snapshots" / "000000002"
    before.mkdir(parents=True)
    after.mkdir()
    (before / "000012.sst").write_bytes(b"a" * 200)
    write_checksums(before, None)
    (after / "000012.sst").hardlink_to(before / "000012.sst")
    _damage(before / "000012.sst")

    write_checksums(after, before)

    reason = "store/snapshots/000000002/000012.sst has changed since it was written"
    assert first_fault(after) == reason


def test_a_repair_beside_a_server_is_refused_and_deletes_nothing(filled: Path) -> None:
    path = _largest(filled, "store/snapshots/*/columns/columns.duckdb")
    _damage(path)
    before = path.read_bytes()

    with FileLock(filled / "store" / "lock"):
        result = _run(filled, "--repair")

    assert (result.exit_code, path.read_bytes()) == (1, before), result.output
    assert "a server uses this data folder" in result.output


@pytest.mark.parametrize(
    ("number", "fault"),
    [(0, "entry 1 is missing before it"), (-1, "the ledger knows entries up to 3, the journal has 2")],
)  # fmt: skip
def test_a_missing_entry_is_named_the_last_one_by_the_ledger(
    filled: Path, number: int, fault: str
) -> None:
    Journal(filled / "journal").paths()[number].unlink()

    result = _run(filled)

    assert (result.exit_code, fault in result.stdout) == (1, True), result.stdout


def test_a_damaged_ledger_is_named_and_no_harvest_begins_with_it(filled: Path) -> None:
    _damage_pages(filled / "ledger.sqlite")

    result = _run(filled, "--repair")

    assert result.exit_code == 1
    assert "restore the ledger from a backup" in result.stdout

    url = f"sqlite:///{filled}/ledger.sqlite"

    with pytest.raises(LedgerError, match="nothing was written"), open_context(filled, url, BASE, NetworkSettings("")):  # fmt: skip
        pass


def test_descriptions_in_the_ledger_are_compared_with_the_journal(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "ledger.sqlite")) as file:
        file.execute("UPDATE description SET statements = (SELECT statements FROM description WHERE seq = 1) WHERE seq = 0")  # fmt: skip
        graphs = file.execute("SELECT iri, description FROM graph ORDER BY iri LIMIT 2").fetchall()
        (first, _), (_, other) = graphs
        file.execute("UPDATE graph SET description = ? WHERE iri = ?", (other, first))
        file.commit()

    url, journal = f"sqlite:///{filled}/ledger.sqlite", Journal(filled / "journal")
    problems = [fault.problem for fault in ledger_faults(url, journal, BASE)]

    different = "its description is not the one that the journal published"
    assert f"graph {first}: {different}" in problems
    assert f"p1: {different}" in _run(filled).stdout


def test_a_damaged_description_cannot_be_decompressed() -> None:
    packed = bytearray(compress('<urn:s> <urn:p> "a text" .'))
    assert decompress(bytes(packed)) == '<urn:s> <urn:p> "a text" .'
    packed[-12] ^= 1

    with pytest.raises(zstandard.ZstdError):
        decompress(bytes(packed))


def test_a_damaged_newest_entry_stops_the_next_commit(filled: Path) -> None:
    newest, *later = Journal(filled / "journal").paths()
    for path in later:  # they are small: the middle of each is its header
        path.unlink()
    _damage(newest)
    journal = Journal(filled / "journal")

    with pytest.raises(ChainError, match=r"cannot be read to its end|does not match its id"):
        journal.append(["A <urn:s> <urn:p> <urn:o> <urn:g> ."], run="next.1", time=NOON)

    assert journal.paths() == [newest]


def test_the_table_of_damage_has_each_kind_once_and_says_what_was_repaired(filled: Path) -> None:
    before = (filled / "status.nq").read_bytes()

    kinds = largest_files(filled)

    assert kinds["journal/*.gz"].name in {path.name for path in (filled / "journal").glob("*.gz")}
    assert not any(kind.endswith("lock") for kind in kinds)
    assert list(damage_each(filled, "status")) == [("status.nq", "status", "yes", "yes")]
    [(kind, parts, *noticed)] = damage_each(filled, "journal")
    assert (kind, parts.split(", ")[0]) == ("journal/*.gz", "journal")
    assert noticed == ["yes", "by a person"]
    assert (filled / "status.nq").read_bytes() == before


def test_the_documentation_says_of_each_kind_of_file_what_happens_if_it_is_damaged(
    filled: Path,
) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/back-up.md").read_text()
    table = text.partition("## Each kind of file")[2]
    patterns = []
    for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE):
        first, *others = re.findall("`([^`]+)`", row)
        folder = first.rpartition("/")[0]
        patterns += [first, *(name if "/" in name else f"{folder}/{name}" for name in others)]
    # A pattern that ends with a slash stands for every file below it.
    patterns = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in patterns]

    paths = [path.relative_to(filled).as_posix() for path in largest_files(filled).values()]

    assert [path for path in paths if not any(fnmatch(path, item) for item in patterns)] == []
