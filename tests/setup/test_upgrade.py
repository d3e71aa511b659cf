from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import postgresql
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from harvesters.errors import LedgerError, SchemaVersionError
from harvesters.ledger import operators, outbox, prizes, submissions
from harvesters.ledger.database import metadata, needs_migration
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import LinkState
from harvesters.ledger.operators import list_keys
from harvesters.matching.match import decision_history
from harvesters.notifications import coar
from harvesters.reasons import Reason
from harvesters.runs.removal import find_undoable
from harvesters.runs.upkeep import links
from journal import data_format
from journal.errors import DataFormatError
from stocktake import app

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
START = Path(__file__).parent / "start"
_KILLED = """
import os, signal, sys
from harvesters.ledger import database
def kill(connection, revision):
    os.kill(os.getpid(), signal.SIGKILL)
database.write_revision = kill
database.Database(sys.argv[1], migrate=True)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with tarfile.open(START / "data.tar.gz") as archive:
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
        SchemaVersionError, match=r"older version .*revision 0021.* run `stocktake upgrade`"
    ):
        Ledger(ledger_url(data))

    assert SchemaVersionError.exit_code == 2
    assert contents(data) == before


def test_a_dry_run_lists_the_steps_and_changes_nothing(data: Path) -> None:
    (data / data_format.FILE).unlink()
    before = contents(data)

    result = run(data, "upgrade", "--dry-run")

    assert result.exit_code == 0
    assert [line[7:11] for line in result.stdout.splitlines() if line.startswith("ledger ")] == [
        "0022"
    ]
    assert "record the formats" in result.stdout
    assert contents(data) == before


def test_an_upgraded_directory_is_as_it_was(data: Path) -> None:
    upgraded = run(data, "upgrade")
    again = run(data, "upgrade")
    verified = run(data, "verify", "--json")
    remapped = run(data, "remap", "events", "--dry-run")

    codes = (upgraded.exit_code, again.exit_code, verified.exit_code, remapped.exit_code)
    assert codes == (0, 0, 0, 0), verified.output + remapped.output
    assert upgraded.output.startswith("ledger 0022: ")
    assert again.stdout == "nothing to upgrade\n"
    with closing(Ledger(ledger_url(data))) as ledger:
        check_contents(ledger)


@pytest.mark.skipif(bool(postgresql.missing()), reason=postgresql.missing())
def test_an_upgraded_postgresql_ledger_is_as_it_was() -> None:
    with postgresql.running_cluster() as cluster:
        with cluster.admin() as admin:
            admin.execute("CREATE DATABASE start")
        dump = gzip.decompress((START / "ledger.sql.gz").read_bytes())
        programs = postgresql.binaries()
        assert programs
        where = ["-h", "127.0.0.1", "-p", str(cluster.port), "-U", cluster.user, "start"]
        subprocess.run(
            [programs / "psql", "-q", *where], input=dump, check=True, capture_output=True
        )
        url = cluster.url("start")
        assert needs_migration(url)

        with closing(Ledger(url, migrate=True)) as ledger:
            check_contents(ledger)
            queue = ledger.transaction()
            with queue as connection:
                jobs = connection.execute(sa.text("SELECT count(*) FROM procrastinate_jobs"))
                assert jobs.scalar() == 2


def check_contents(ledger: Ledger) -> None:
    """Check that the upgraded ledger has the rows of the oldest ledger and the columns of a new
    one.
    """
    with (
        ledger.transaction() as connection,
        closing(Ledger("sqlite://")) as empty,
        empty.transaction() as other,
    ):
        for table in metadata.sorted_tables:
            new, old = (
                {column["name"] for column in sa.inspect(each).get_columns(table.name)}
                for each in (other, connection)
            )  # fmt: skip
            assert new == old, table.name
    incomplete, waiting = ledger.run("projects.2"), ledger.run("events.2")
    assert incomplete
    assert waiting
    assert incomplete.reasons == (
        Reason(
            "the source reported %(reported)s records but returned %(fetched)s",
            reported="9",
            fetched="4",
        ),
        Reason("no record was marked as deleted"),
    )
    assert "5 of 6 published records are missing (83%)" in str(waiting.reason)
    assert [item.id for item in ledger.awaiting_review()] == ["events.2"]
    [withheld] = ledger.failures(incomplete)
    assert withheld.reason == "It has no title. (title)"
    approved = ledger.run("projects.3")
    assert approved
    assert find_undoable(ledger, approved.source) == approved
    counts = {name: ledger.count_published(name) for name in ledger.sources()}
    assert counts == {"events": 6, "prizes": 2, "projects": 4, "submissions": 1}
    check_operators(ledger)
    check_participation(ledger)


def check_operators(ledger: Ledger) -> None:
    assert next((act.who, act.what) for act in operators.audit_entries(ledger)) == ("Ada", "held")
    assert ledger.holds()["projects"].reason == "The registry moves."
    [granted] = ledger.overrides("events")
    assert (granted.limit, granted.value) == ("vanished", 0.9)
    requests = [(item.source, item.full, item.run) for item in operators.run_requests(ledger)]
    assert requests == [("projects", False, None), ("projects", False, "projects.2"), ("events", True, None)]  # fmt: skip
    assert [item.note for item in operators.definition_versions(ledger, "events")] == ["first"]
    assert operators.proposals(ledger) == ["events"]
    assert {key.name for key in list_keys(ledger)} == {"Ada", "Ministry"}
    assert [item.text for item in ledger.undecided_problems()] == ["The date is wrong."]
    [due] = outbox.claim_subscriptions(ledger, 99, LATER, LATER, 9)
    assert due.results == {"https://w3id.org/x": "2026-12-01"}
    [message] = outbox.messages(ledger)
    assert (message.topic, message.data) == ("report events", {"count": 2})
    [alert] = outbox.alerts(ledger, is_open=True)
    assert (alert.rule, alert.reason.code) == ("failed", "run_state")
    assert [item.rule for item in outbox.silences(ledger, NOW)] == ["late"]
    states = {link.url: link.state for link in links(ledger, "projects")}
    assert set(states.values()) == {None, LinkState.ALIVE}
    [decision] = decision_history(ledger)
    assert (decision.judgement, decision.when) == ("positive", NOW)


def check_participation(ledger: Ledger) -> None:
    sent = submissions.find(ledger, "5e4d3c2b1a00")
    assert sent
    assert (sent.state, sent.waiting_since) == ("submitted", NOW)
    assert sent.content["title"] == {"en": "Village telecentres"}
    history = submissions.history(ledger, "0123456789ab", internal=True)
    assert [event.what for event in history] == ["created", "accepted"]
    person = submissions.submitter_of(ledger, mail="grace@example.org")
    assert person
    assert prizes.votes(ledger, "2027") == {"n1": 1}
    [review] = prizes.reviews(ledger, "2027")
    assert (review.scores, prizes.experts(ledger, "2027")) == ({"impact": 4}, [review.expert])
    assert [item.stage for item in prizes.nominations(ledger)] == ["nominated"]
    [comment] = [item for item in submissions.of_submitter(ledger, person.id) if item.post]
    assert (comment.post, comment.state, comment.waiting_since) == ("post/blog/1", "submitted", NOW)
    assert comment.content["content"] == {"en": "A remark"}
    assert [event.what for event in submissions.history(ledger, "c1", internal=False)] == [
        "submitted"
    ]
    assert submissions.count_unused(ledger, person.id) == 1
    assert [item.key for item in coar.notifications(ledger)] == ["k1"]


def test_an_upgrade_that_is_killed_is_taken_up_again(data: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, ledger_url(data)],
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    was_outdated = needs_migration(ledger_url(data))
    upgraded = run(data, "upgrade")

    assert killed.returncode == -signal.SIGKILL
    assert (was_outdated, upgraded.exit_code) == (True, 0)
    assert not needs_migration(ledger_url(data))


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(data: Path) -> None:
    with closing(sqlite3.connect(data / "ledger.sqlite")) as connection:
        connection.execute("ALTER TABLE act RENAME TO elsewhere")
        connection.commit()

    result = run(data, "upgrade")

    assert isinstance(result.exception, LedgerError)
    assert needs_migration(ledger_url(data))


@pytest.mark.parametrize(
    ("version", "message"),
    [("0020", "the last version of Stocktake that reads them is commit 15d5d51a"),
     ("9999", "A downgrade is not possible: run that version, or restore a backup")],
)  # fmt: skip
def test_a_ledger_of_a_version_that_is_not_read_is_refused_with_what_to_do(
    data: Path, version: str, message: str
) -> None:
    with closing(sqlite3.connect(data / "ledger.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        connection.commit()
    before = contents(data)

    result = run(data, "upgrade")

    assert isinstance(result.exception, SchemaVersionError)
    assert message in str(result.exception)
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
    (data / data_format.FILE).unlink()

    for folder in (tmp_path / "new", data):
        data_format.record_if_new(folder)

    assert data_format.are_recorded(tmp_path / "new")
    assert not data_format.are_recorded(data)
