from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harvesters.errors import SchemaVersionError
from harvesters.ledger import database
from harvesters.ledger.database import pending_migrations
from harvesters.ledger.ledger import Ledger
from harvesters.reasons import Reason
from journal import data_format
from journal.errors import DataFormatError
from stocktake import app

VERSIONS = Path(database.__file__).parent / "migrations" / "versions"
OLDEST = Path(__file__).parent / "older_data" / "data.tar.gz"
STEPS = sorted(file.name[:4] for file in VERSIONS.glob("*.py") if file.name > "0003")
_KILLED = """
import os, signal, sys
from harvesters.ledger.ledger import Ledger
def kill(migration):
    if migration.revision == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
Ledger(sys.argv[1], on_migration=kill)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with tarfile.open(OLDEST) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data"


def run(data: Path, *words: str) -> Result:
    options = ["--data", str(data), "--sources", str(data.parent / "sources")]
    return CliRunner().invoke(app, [*options, *words])


def ledger_url(data: Path) -> str:
    return f"sqlite:///{data / 'ledger.sqlite'}"


def contents(data: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file()
    }


def test_an_older_ledger_is_refused_until_it_is_upgraded(data: Path) -> None:
    before = contents(data)

    with pytest.raises(
        SchemaVersionError, match=r"older version .*revision 0002.* run `stocktake upgrade`"
    ):
        Ledger(ledger_url(data))

    assert SchemaVersionError.exit_code == 2
    assert contents(data) == before


def test_a_dry_run_lists_the_steps_and_changes_nothing(data: Path) -> None:
    before = contents(data)

    result = run(data, "upgrade", "--dry-run")

    assert result.exit_code == 0
    assert [
        line[7:11] for line in result.stdout.splitlines() if line.startswith("ledger ")
    ] == STEPS
    assert "record the formats" in result.stdout
    assert contents(data) == before


def test_an_upgraded_directory_is_sound_and_keeps_its_runs(data: Path) -> None:
    upgraded = run(data, "upgrade")
    again = run(data, "upgrade")
    verified = run(data, "verify", "--json")
    remapped = run(data, "remap", "events")

    assert (upgraded.exit_code, again.exit_code, verified.exit_code, remapped.exit_code) == (
        0,
        0,
        0,
        0,
    ), verified.output
    assert f"step {len(STEPS)} of {len(STEPS)}" in upgraded.output
    assert again.stdout == "nothing to upgrade\n"
    assert json.loads((data / "format.json").read_text())["formats"] == data_format.FORMATS
    with closing(Ledger(ledger_url(data))) as ledger:
        incomplete = ledger.run("projects.2")
        assert incomplete is not None
        assert incomplete.reasons == (
            Reason("short", {"reported": "5", "fetched": "3"}),
            Reason("no_deletions"),
        )
        assert ledger.count_published("projects") == 2


@pytest.mark.smoke(STEPS[-1])
@pytest.mark.parametrize("revision", STEPS)
def test_an_upgrade_that_is_killed_continues_at_its_next_step(data: Path, revision: str) -> None:
    line = [sys.executable, "-c", _KILLED, ledger_url(data), revision]
    killed = subprocess.run(
        line, check=False, timeout=120, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )

    left = [migration.revision for migration in pending_migrations(ledger_url(data))]
    upgraded = run(data, "upgrade")

    assert killed.returncode == -signal.SIGKILL
    assert left == STEPS[STEPS.index(revision) :]
    assert (upgraded.exit_code, pending_migrations(ledger_url(data))) == (0, [])


def test_a_newer_ledger_is_not_downgraded(data: Path) -> None:
    with closing(sqlite3.connect(data / "ledger.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = contents(data)

    result = run(data, "upgrade")

    assert isinstance(result.exception, SchemaVersionError)
    assert "A downgrade is not possible: run that version, or restore a backup" in str(
        result.exception
    )
    assert contents(data) == before


@pytest.mark.parametrize("words", [("upgrade",), ("runs",), ("dump",)])
def test_folders_of_a_newer_format_are_refused_by_every_command(
    data: Path, words: tuple[str, ...]
) -> None:
    newer = {"version": "9.9.0", "formats": {**data_format.FORMATS, "archive": 2}}
    (data / data_format.FILE).write_text(json.dumps(newer))
    before = contents(data)

    result = run(data, *words)

    assert isinstance(result.exception, DataFormatError)
    assert result.exception.exit_code == 2
    assert "has the format 2, written by Stocktake 9.9.0" in str(result.exception)
    assert "A downgrade is not possible" in str(result.exception)
    assert contents(data) == before


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"formats": {"journal": "1"}}', '{"formats": 1}']
)
def test_a_damaged_format_file_is_refused_with_its_remedy(data: Path, content: str) -> None:
    (data / data_format.FILE).write_text(content)

    with pytest.raises(
        DataFormatError, match=r"format\.json is damaged .*delete it and run `stocktake upgrade`"
    ):
        data_format.check_formats(data)


def test_a_new_directory_records_its_formats_and_an_older_one_does_not(
    tmp_path: Path, data: Path
) -> None:
    (tmp_path / "new").mkdir()

    for folder in (tmp_path / "new", data):
        data_format.record_if_new(folder)

    assert data_format.are_recorded(tmp_path / "new")
    assert not data_format.are_recorded(data)
