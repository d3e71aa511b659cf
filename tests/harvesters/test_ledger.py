"""Runs, staged records and published records; a page and its checkpoint are stored together."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from harvesters.errors import LedgerError, SchemaVersionError
from harvesters.ledger import database
from harvesters.ledger.absence import AbsentRecord, CrossSourceDuplicate
from harvesters.ledger.finalize import LISTED_RUNS
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    ERASED,
    Outcome,
    RecordState,
    Run,
    StagedDiff,
    StagedRecord,
    State,
    StateChange,
)
from harvesters.ledger.tables import metadata
from harvesters.reasons import Reason, other
from harvesters.stored_response import SourcePosition, Validator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = Path(database.__file__).parent / "migrations" / "versions"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


def new(key: str, *statements: str) -> StagedRecord:
    return StagedRecord(
        key,
        Outcome.NEW,
        f"digest of {key}",
        f"content of {key}",
        NOW,
        "\n".join(statements) or f"<{key}> <p> <o>",
    )


def start_run(ledger: Ledger) -> Run:
    return ledger.create_run("s", NOW, "rules", is_full=True, since=None)


def commit_run(
    ledger: Ledger, *staged_records: StagedRecord, rewritten: Iterable[StateChange] = ()
) -> Run:
    run = replace(start_run(ledger), state=State.COMMITTED)
    ledger.stage(run, staged_records, 0)
    ledger.apply_run(run, rewritten)
    return run


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    Ledger(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(
        SchemaVersionError, match=r"revision '9999'.*name an empty database in STOCKTAKE_LEDGER"
    ):
        Ledger(url)


def test_migrations_create_the_tables_that_the_program_uses(ledger: Ledger, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.sqlite")

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def tables_since(revision: str) -> list[str]:
    """Return the tables that the revisions after *revision* create."""
    scripts = [
        script.read_text("utf-8") for script in VERSIONS.glob("*.py") if script.name[:4] > revision
    ]
    return [name for script in scripts for name in re.findall(r'create_table\(\s*"(\w+)"', script)]


def test_reasons_of_older_runs_become_codes_with_values(ledger: Ledger, tmp_path: Path) -> None:
    run, url = start_run(ledger), f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger.close()
    short = {"code": "short", "values": {"reported": "10", "fetched": "9"}}
    reasons = [{"code": "incomplete", "values": {"text": "page 3 is broken"}}, short]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        older = {"incomplete_reason": "page 3 is broken", "reasons": json.dumps(reasons)}
        connection.execute(sa.update(metadata.tables["run"]).values(**older))
        for table, column in (("validator", "digest"), ("staged", "reasons")):
            # a later revision adds it
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
        for name in tables_since("0006"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
    engine.dispose()

    migrated = Ledger(url, on_migration=lambda _: None).run(run.id)

    assert migrated is not None
    assert migrated.incomplete_reason == Reason("other", {"text": "page 3 is broken"})
    assert [reason.text for reason in migrated.reasons] == [
        "page 3 is broken",
        "no record was marked as deleted",
        "the source reported 10 records but returned 9",
        "no record was marked as deleted",
    ]


def test_reasons_of_records_of_older_runs_stay_texts_except_that_of_an_erased_one(
    ledger: Ledger, tmp_path: Path
) -> None:
    run, url = start_run(ledger), f"sqlite:///{tmp_path}/ledger.sqlite"
    records = [
        StagedRecord(text, Outcome.DELETED, reasons=(other(text),))
        for text in ("cut off", "removed on request")
    ]
    ledger.stage(run, records, 0)
    ledger.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE staged DROP COLUMN reasons")
        for name in ("picture", "published_picture"):
            connection.exec_driver_sql(f"DROP INDEX submission_by_{name}")
            connection.exec_driver_sql(f"ALTER TABLE submission DROP COLUMN {name}")
        for name in tables_since("0018"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0018'")
    engine.dispose()

    migrated = Ledger(url, on_migration=lambda _: None)

    assert [record.reasons for record in migrated.staged_records(run, [Outcome.DELETED])] == [
        (other("cut off"),),
        ERASED,
    ]


def test_why_a_record_is_withheld_is_stored_with_its_codes(ledger: Ledger) -> None:
    reasons = (
        Reason("broken_rule", {"message": "It has no title.", "property": "title"}),
        Reason("row_without_key", {"line": 6}),
    )
    run = start_run(ledger)
    ledger.stage(
        run,
        [StagedRecord("a", Outcome.WITHHELD, reasons=reasons), StagedRecord("b", Outcome.NEW)],
        0,
    )

    stored = {
        record.key: record for record in ledger.staged_records(run, [Outcome.WITHHELD, Outcome.NEW])
    }

    assert (stored["a"].reasons, stored["b"].reasons) == (reasons, ())
    assert stored["a"].reason == "It has no title. (title); line 6: the key is empty"
    assert ledger.failure_reasons(run) == {"It has no title. (title); line 6: the key is empty": 1}


def test_why_a_run_is_incomplete_is_stored_with_its_code(ledger: Ledger) -> None:
    run = replace(
        start_run(ledger), incomplete_reason=Reason("list_ended_early", {"fetched": 2, "total": 3})
    )

    ledger.save(run)

    assert ledger.run(run.id) == run


def test_runs_of_a_source_are_numbered(ledger: Ledger) -> None:
    assert [start_run(ledger).id, start_run(ledger).id] == ["s.1", "s.2"]


def test_an_unfinished_run_is_found_as_its_checkpoint_left_it(ledger: Ledger) -> None:
    run = replace(start_run(ledger), cursor="page 2", pages=1, reported_total=9, archived=123)
    ledger.stage(
        run, [new("a"), StagedRecord(None, Outcome.UNREADABLE, reasons=(other("no key"),))], 0
    )

    assert ledger.open_run("s") == run
    assert ledger.already_staged(run, ["a", "b"]) == {"a": "digest of a"}


def test_a_settled_run_has_published_its_new_records(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))

    known = ledger.stored_records("s", ["a", "b", "c"])
    assert sorted(known) == ["a", "b"]
    assert known["a"].digest == "digest of a"
    assert ledger.count_published("s") == 2


def test_what_a_run_does_not_meet_is_absent(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    run = start_run(ledger)
    ledger.stage(run, [StagedRecord("a", Outcome.UNCHANGED, "digest of a")], 0)

    assert list(ledger.absent(run)) == [AbsentRecord("b", RecordState.PUBLISHED, 0, None)]


def test_a_vanished_record_is_still_served_with_its_mark_and_its_misses(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    run = start_run(ledger)
    ledger.stage(run, [StagedRecord("a", Outcome.UNCHANGED, "digest of a")], 0)
    ledger.save_plan(run, {}, lambda: iter([StagedRecord("b", Outcome.VANISHED)]))

    ledger.apply_run(run, [StateChange(-1, "b", RecordState.VANISHED, "<b> <p> <marked>", NOW)])

    later = start_run(ledger)
    ledger.stage(later, [StagedRecord("a", Outcome.UNCHANGED, "digest of a")], 0)
    assert ledger.count_published("s") == 2
    assert list(ledger.absent(later)) == [AbsentRecord("b", RecordState.VANISHED, 1, NOW)]


def test_a_record_that_comes_back_has_no_misses(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    run = start_run(ledger)
    ledger.save_plan(
        run,
        {},
        lambda: iter([StagedRecord("a", Outcome.VANISHED), StagedRecord("b", Outcome.VANISHED)]),
    )
    ledger.apply_run(run, [StateChange(-2, "b", RecordState.VANISHED, "<b> <p> <marked>", NOW)])
    back = start_run(ledger)
    ledger.stage(back, [StagedRecord("b", Outcome.RETURNED, "digest of b")], 0)

    ledger.apply_run(back, [StateChange(0, "b", RecordState.PUBLISHED, "<b> <p> <o>")])

    assert list(ledger.absent(start_run(ledger)))[1] == AbsentRecord(
        "b", RecordState.PUBLISHED, 0, None
    )


def test_a_changed_draft_comes_with_the_description_before_it(ledger: Ledger) -> None:
    commit_run(ledger, new("a", "<a> <p> <old>"))
    run = start_run(ledger)
    changed = replace(new("a", "<a> <p> <new>"), outcome=Outcome.CHANGED)
    ledger.stage(run, [changed], 0)

    assert list(ledger.changes(run, [Outcome.CHANGED])) == [
        StagedDiff(0, changed, "<a> <p> <old>", RecordState.PUBLISHED)
    ]


def test_a_gone_record_keeps_its_tombstone_and_is_no_longer_published(ledger: Ledger) -> None:
    commit_run(ledger, new("a"))
    commit_run(
        ledger,
        StagedRecord("a", Outcome.DELETED),
        rewritten=[StateChange(0, "a", RecordState.GONE, "<a> <p> <tombstone>")],
    )

    assert ledger.stored_records("s", ["a"])["a"].is_deleted
    assert ledger.count_published("s") == 0


def test_a_new_draft_that_says_what_an_absent_record_says_has_moved(ledger: Ledger) -> None:
    commit_run(ledger, replace(new("a"), fingerprint=7), replace(new("b"), fingerprint=8))
    run = start_run(ledger)
    ledger.stage(run, [replace(new("z"), fingerprint=7), replace(new("y"), fingerprint=9)], 0)

    assert ledger.rekeyed(run) == {"a": "z"}


def test_equal_drafts_are_not_taken_for_moved_ones(ledger: Ledger) -> None:
    commit_run(
        ledger,
        *(replace(new(key), fingerprint=7) for key in "ab"),
        replace(new("c"), fingerprint=8),
    )
    run = start_run(ledger)
    ledger.stage(
        run,
        [replace(new("x"), fingerprint=7), *(replace(new(key), fingerprint=8) for key in "yz")],
        0,
    )

    assert ledger.rekeyed(run) == {}


def test_a_plan_may_be_drawn_again(ledger: Ledger) -> None:
    commit_run(ledger, replace(new("a"), fingerprint=7))
    run = start_run(ledger)
    ledger.stage(run, [replace(new("z"), fingerprint=7)], 0)

    for _ in range(2):
        ledger.save_plan(
            run, ledger.rekeyed(run), lambda: iter([StagedRecord("a", Outcome.REPLACED, other="z")])
        )

    listed = [
        (staged.key, staged.outcome, staged.other) for staged in ledger.staged_records(run, Outcome)
    ]
    assert listed == [("z", Outcome.REIDENTIFIED, "a"), ("a", Outcome.REPLACED, "z")]


def test_a_record_of_another_source_that_says_the_same_or_has_the_same_page_is_a_twin(
    ledger: Ledger,
) -> None:
    commit_run(ledger, *(replace(new(key), fingerprint=7, page=3) for key in "ab"))
    for source in ("r", "t"):
        run = ledger.create_run(source, NOW, "rules", is_full=True, since=None)
        ledger.stage(
            run,
            [
                replace(new("1"), fingerprint=7),
                replace(new("2"), page=3),
                replace(new("3"), fingerprint=5, page=4),
            ],
            0,
        )

        assert ledger.cross_source_duplicates(run, 10) == [
            CrossSourceDuplicate("1", "s", "a", same_page=False),
            CrossSourceDuplicate("2", "s", "a", same_page=True),
        ]


def test_what_was_unchanged_stays_listed_when_the_run_is_settled(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    at = SourcePosition("s/s.2.warc.gz", 10, 20)

    run = commit_run(
        ledger,
        *(StagedRecord(key, Outcome.UNCHANGED, f"digest of {key}", position=at) for key in "ab"),
    )

    assert list(ledger.staged_records(run, [Outcome.UNCHANGED])) == [
        StagedRecord("a", Outcome.UNCHANGED, position=at),
        StagedRecord("b", Outcome.UNCHANGED, position=at),
    ]
    assert ledger.outcomes(run)[Outcome.UNCHANGED] == 2


def test_the_records_of_the_last_thirty_runs_are_listed(ledger: Ledger) -> None:
    first = commit_run(ledger, StagedRecord("b", Outcome.WITHHELD, reasons=(other("no title"),)))
    second = commit_run(ledger, StagedRecord("b", Outcome.WITHHELD, reasons=(other("no title"),)))

    for _ in range(LISTED_RUNS - 1):
        commit_run(ledger)

    assert (len(ledger.failures(first)), len(ledger.failures(second))) == (0, 1)


def test_what_was_not_published_stays_listed_with_its_reason(ledger: Ledger) -> None:
    run = commit_run(
        ledger, new("a"), StagedRecord("b", Outcome.WITHHELD, reasons=(other("no title"),))
    )

    assert [(staged.key, staged.reason) for staged in ledger.failures(run)] == [("b", "no title")]


def test_reasons_are_counted_the_commonest_first(ledger: Ledger) -> None:
    withheld = [
        StagedRecord(key, Outcome.WITHHELD, reasons=(other("no title"),)) for key in ("a", "c")
    ]
    others = [
        StagedRecord("b", Outcome.UNREADABLE, reasons=(other("cut"),)),
        StagedRecord("d", Outcome.DUPLICATE, reasons=(other("twice"),)),
    ]

    run = commit_run(ledger, *withheld, *others)

    assert list(ledger.failure_reasons(run).items()) == [
        ("no title", 2),
        ("cut", 1),
        ("twice", 1),
    ]


def test_a_forgotten_run_leaves_no_trace(ledger: Ledger) -> None:
    run = start_run(ledger)
    ledger.stage(run, [new("a")], 0)

    ledger.delete_run(run)

    assert ledger.runs() == []
    assert ledger.already_staged(run, ["a"]) == {}


def test_a_part_of_a_page_is_discarded_and_the_checkpoint_stays(ledger: Ledger) -> None:
    same = StagedRecord("c", Outcome.UNCHANGED, "digest of c")
    run = replace(start_run(ledger), fetched=1, pages=1)
    ledger.stage(run, [new("a")], 0)
    ledger.stage(run, [new("b"), same], 1, is_checkpoint=False)

    ledger.discard_part(run)

    assert ledger.already_staged(run, ["a", "b", "c"]) == {"a": "digest of a"}
    assert ledger.outcomes(run)[Outcome.UNCHANGED] == 0
    assert [key for key, _, _ in ledger.changed_descriptions(run)] == ["a"]
    assert ledger.run(run.id) == run


def test_validators_are_replaced_whole(ledger: Ledger) -> None:
    ledger.graphs.set_validators("s", {"https://x.example/1": Validator('"1"', None)})
    ledger.graphs.set_validators(
        "s",
        {
            "https://x.example/2": Validator(None, "yesterday"),
            "https://x.example/3": Validator(None, None),
        },
    )

    assert ledger.graphs.validators("s") == {"https://x.example/2": Validator(None, "yesterday")}


def test_a_ledger_is_opened_again_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    commit_run(ledger, new("a"))

    again = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")

    assert again.count_published("s") == 1
    again.close()


@pytest.mark.parametrize(
    "url", ["mysql://host/x", "no url", "sqlite:////no/such/folder/ledger.sqlite"]
)
def test_a_ledger_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises(LedgerError):
        Ledger(url)
