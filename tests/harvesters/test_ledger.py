from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rows import each

from harvesters.errors import LedgerError, SchemaVersionError
from harvesters.ledger.ledger import LISTED_RUNS, Ledger, is_unseen
from harvesters.ledger.models import (
    Outcome,
    RecordState,
    Run,
    StagedDiff,
    StagedRecord,
    State,
    StateChange,
)
from harvesters.ledger.tables import record
from harvesters.page_model import SourcePosition, Validator
from harvesters.reasons import Reason, other

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


def new(key: str, *statements: str, **more: Any) -> StagedRecord:
    text = "\n".join(statements) or f"<{key}> <p> <o>"
    return replace(
        StagedRecord(key, Outcome.NEW, f"digest of {key}", f"content of {key}", NOW, text), **more
    )


def unchanged(key: str) -> StagedRecord:
    return StagedRecord(key, Outcome.UNCHANGED, f"digest of {key}")


def failed(key: str, outcome: Outcome, text: str) -> StagedRecord:
    return StagedRecord(key, outcome, reasons=(other(text),))


def start_run(ledger: Ledger, *staged: StagedRecord) -> Run:
    run = ledger.create_run("s", NOW, "rules", is_full=True, since=None)
    ledger.stage(run, staged, 0)
    return run


def changed(seq: int, key: str, state: RecordState, text: str) -> StateChange:
    return StagedDiff(seq, StagedRecord(key, Outcome.NEW), "", None), state, text


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


def test_why_a_record_is_withheld_is_stored_with_its_codes(ledger: Ledger) -> None:
    message = {"message": "It has no title.", "property": "title"}
    reasons = (Reason("broken_rule", **message), Reason("row_without_key", line=6))
    withheld = StagedRecord("a", Outcome.WITHHELD, reasons=reasons)
    run = start_run(ledger, withheld, StagedRecord("b", Outcome.NEW))

    a, b = ledger.staged_records(run, [Outcome.WITHHELD, Outcome.NEW])

    assert (a.reasons, b.reasons) == (reasons, ())
    assert a.reason == "It has no title. (title); line 6: the key is empty"
    assert ledger.failure_reasons(run) == {a.reason: 1}


def test_why_a_run_is_incomplete_is_stored_with_its_code(ledger: Ledger) -> None:
    reason = Reason("the list ended after %(fetched)s of %(total)s records", fetched=2, total=3)
    run = replace(start_run(ledger), incomplete_reason=reason)

    ledger.save(run)

    assert ledger.run(run.id) == run


def test_runs_of_a_source_are_numbered(ledger: Ledger) -> None:
    assert [start_run(ledger).id, start_run(ledger).id] == ["s.1", "s.2"]


def test_an_unfinished_run_is_found_as_its_checkpoint_left_it(ledger: Ledger) -> None:
    run = replace(start_run(ledger), cursor="page 2", pages=1, reported_total=9, archived=123)
    unreadable = StagedRecord(None, Outcome.UNREADABLE, reasons=(other("no key"),))
    ledger.stage(run, [new("a"), unreadable], 0)

    assert ledger.open_run("s") == run
    assert ledger.already_staged(run, ["a", "b"]) == {"a": "digest of a"}


def test_a_settled_run_has_published_its_new_records(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))

    known = ledger.stored_records("s", ["a", "b", "c"])
    assert sorted(known) == ["a", "b"]
    assert known["a"].digest == "digest of a"
    assert ledger.count_published("s") == 2


def vanish(ledger: Ledger, run: Run, *keys: str) -> None:
    ledger.save_plan(run, {}, [StagedRecord(key, Outcome.VANISHED) for key in keys])
    marked = changed(-len(keys), "b", RecordState.VANISHED, "<b> <p> <marked>")
    ledger.apply_run(run, [marked])


def test_a_vanished_record_is_still_served_with_its_mark_and_its_misses(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    run = start_run(ledger, unchanged("a"))
    assert list(ledger.unseen(run)) == [("b", RecordState.PUBLISHED, 0, None)]

    vanish(ledger, run, "b")

    later = start_run(ledger, unchanged("a"))
    assert ledger.count_published("s") == 2
    assert list(ledger.unseen(later)) == [("b", RecordState.VANISHED, 1, NOW)]


def test_a_key_that_was_not_seen_is_looked_up_in_an_index(ledger: Ledger) -> None:
    query = sa.select(record.c.key).where(is_unseen(start_run(ledger)))
    with ledger.transaction() as connection:
        text = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())

    assert "USING COVERING INDEX staged_by_key (run=? AND key=?" in plan


def test_a_record_that_comes_back_has_no_misses(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    vanish(ledger, start_run(ledger), "a", "b")
    back = start_run(ledger, StagedRecord("b", Outcome.RETURNED, "digest of b"))

    ledger.apply_run(back, [changed(0, "b", RecordState.PUBLISHED, "<b> <p> <o>")])

    unseen = list(ledger.unseen(start_run(ledger)))
    assert unseen[1] == ("b", RecordState.PUBLISHED, 0, None)


def test_a_changed_draft_comes_with_the_description_before_it(ledger: Ledger) -> None:
    commit_run(ledger, new("a", "<a> <p> <old>"))
    draft = new("a", "<a> <p> <new>", outcome=Outcome.CHANGED)
    run = start_run(ledger, draft)

    diff = StagedDiff(0, draft, "<a> <p> <old>", RecordState.PUBLISHED)
    assert list(ledger.changes(run, [Outcome.CHANGED])) == [diff]


def test_a_gone_record_keeps_its_tombstone_and_is_no_longer_published(ledger: Ledger) -> None:
    commit_run(ledger, new("a"))
    gone = [changed(0, "a", RecordState.GONE, "<a> <p> <tombstone>")]
    commit_run(ledger, StagedRecord("a", Outcome.DELETED), rewritten=gone)

    assert ledger.stored_records("s", ["a"])["a"].is_deleted
    assert ledger.count_published("s") == 0


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [({"a": 7, "b": 8}, {"z": 7, "y": 9}, {"a": "z"}), ({"a": 7, "b": 7, "c": 8}, {"x": 7, "y": 8, "z": 8}, {})],
)  # fmt: skip
def test_a_new_draft_that_alone_says_what_an_absent_record_says_has_moved(
    before: dict[str, int], after: dict[str, int], moved: dict[str, str], ledger: Ledger
) -> None:
    commit_run(ledger, *(new(key, fingerprint=number) for key, number in before.items()))

    run = start_run(ledger, *(new(key, fingerprint=number) for key, number in after.items()))

    assert ledger.rekeyed(run) == moved


def test_a_plan_may_be_drawn_again(ledger: Ledger) -> None:
    commit_run(ledger, new("a", fingerprint=7))
    run = start_run(ledger, new("z", fingerprint=7))
    replaced = StagedRecord("a", Outcome.REPLACED, other="z")

    for _ in range(2):
        ledger.save_plan(run, ledger.rekeyed(run), [replaced])

    staged = ledger.staged_records(run, Outcome)
    assert [(record.key, record.outcome, record.other) for record in staged] == [
        ("z", Outcome.REIDENTIFIED, "a"), ("a", Outcome.REPLACED, "z"),
    ]  # fmt: skip


def test_what_was_unchanged_stays_listed_when_the_run_is_settled(ledger: Ledger) -> None:
    commit_run(ledger, new("a"), new("b"))
    at = SourcePosition("s/s.2.warc.gz", 10, 20)

    run = commit_run(ledger, *(replace(unchanged(key), position=at) for key in "ab"))

    expected = [StagedRecord(key, Outcome.UNCHANGED, position=at) for key in "ab"]
    assert list(ledger.staged_records(run, [Outcome.UNCHANGED])) == expected
    assert ledger.outcomes(run)[Outcome.UNCHANGED] == 2


def test_what_the_last_thirty_runs_did_not_publish_stays_listed_with_its_reason(
    ledger: Ledger,
) -> None:
    withheld = failed("b", Outcome.WITHHELD, "no title")
    first, second = commit_run(ledger, withheld), commit_run(ledger, new("a"), withheld)

    for _ in range(LISTED_RUNS - 1):
        commit_run(ledger)

    assert list(ledger.failures(first)) == []
    failures = [(staged.key, staged.reason) for staged in ledger.failures(second)]
    assert failures == [("b", "no title")]


def test_reasons_are_counted_the_commonest_first(ledger: Ledger) -> None:
    outcomes = (("a", Outcome.WITHHELD, "no title"), ("c", Outcome.WITHHELD, "no title"),
                ("b", Outcome.UNREADABLE, "cut"), ("d", Outcome.DUPLICATE, "twice"))  # fmt: skip

    run = commit_run(ledger, *(failed(*row) for row in outcomes))

    counted = [("no title", 2), ("cut", 1), ("twice", 1)]
    assert list(ledger.failure_reasons(run).items()) == counted


def test_a_forgotten_run_leaves_no_trace(ledger: Ledger) -> None:
    run = start_run(ledger, new("a"))

    ledger.delete_run(run)

    assert (ledger.runs(), ledger.already_staged(run, ["a"])) == ([], {})


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
    second, third = ("https://x.example/2", Validator(None, "yesterday")), ("https://x.example/3", Validator(None, None))  # fmt: skip
    ledger.set_validators("s", {"https://x.example/1": Validator('"1"', None)})

    ledger.set_validators("s", dict([second, third]))

    assert ledger.validators("s") == dict([second])


def test_a_ledger_is_opened_again_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    commit_run(ledger, new("a"))

    again = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")

    assert again.count_published("s") == 1
    again.close()


@each("url", ["mysql://host/x", "no url", "sqlite:////no/such/folder/ledger.sqlite"])
def test_a_ledger_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises(LedgerError):
        Ledger(url)


def test_what_is_joined_is_one_transaction_that_is_stored_whole_or_not_at_all(
    ledger: Ledger,
) -> None:
    begun = list[object]()
    sa.event.listen(ledger._engine, "begin", begun.append)

    with ledger.one_transaction():
        stored = ledger.create_run("a", NOW, "rules")
        assert ledger.run(stored.id) == stored
    assert len(begun) == 1

    with suppress(ZeroDivisionError), ledger.one_transaction():
        ledger.create_run("a", NOW, "rules")
        raise ZeroDivisionError
    assert [run.id for run in ledger.runs("a")] == [stored.id]
