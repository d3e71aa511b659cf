from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import syscall_tracer
from projects import Harvester
from structlog.testing import capture_logs

from command_line.harvesting.source_runs import harvest_all
from harvesters.errors import DataDirectoryError, HarvestError, LedgerError, ValidationCrashError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import StagedRecord, State
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.record_processor import RecordInput, RecordProcessor
from harvesters.pipeline.worker_pool import PendingResults, ProcessExecutor, WorkerPool, WorkUnit
from harvesters.runs import publish_vocabularies, run_report, status_file
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions
from harvesters.source import Source
from journal.entry import Entry
from journal.errors import JournalWriteError
from journal.journal import Journal
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class FullDiskJournal(Journal):
    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        def filling() -> Iterable[str]:
            yield next(iter(blocks))
            raise OSError(28, "No space left on device")

        return super().append(filling(), run=run, time=time, **more)


def logged_errors(source: Source, context: HarvestContext) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        harvest_all([source], context, full=True, dry_run=False, quiet=True)
    return [dict(log) for log in logs if log["log_level"] == "error"]


def test_a_full_disk_fails_the_run_in_one_line_and_the_next_run_commits_it(
    harvester: Harvester,
) -> None:
    harvest_all([], harvester.context, full=True, dry_run=False, quiet=True)  # the words
    full = replace(harvester.context, journal=FullDiskJournal(harvester.journal.folder))

    (error,) = logged_errors(harvester.source, full)
    seen = [entry.run for entry in harvester.journal.entries()]
    plan = harvester.harvest(full=True)

    assert error["event"] == "run failed"
    assert (
        "projects.1 could not be written: No space left on device; free disk space or fix the directory"
        in error["reason"]
    )
    assert seen == ["vocabulary.1"]
    assert [entry.run for entry in harvester.journal.entries()] == [
        "vocabulary.1",
        "projects.1",
    ]
    assert (plan.run.id, plan.run.state) == ("projects.1", State.COMMITTED)


class FullOnceLedger(Ledger):
    full = True

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        if self.full:
            self.full = False
            raise LedgerError(
                "ledger: database or disk is full; nothing of this step was kept, run again when it is fixed"
            )
        super().set_balance(entry, added, removed, after)


def test_a_deferred_commit_is_reported_with_reason_and_action(harvester: Harvester) -> None:
    refusing = replace(harvester.context, journal=FullDiskJournal(harvester.journal.folder))
    with pytest.raises(JournalWriteError, match="No space left on device"):
        harvest(harvester.source, refusing)
    for _ in range(2):  # logged_errors as long as it lasts, and once
        with pytest.raises(JournalWriteError):
            harvest(harvester.source, refusing)

    (run,) = harvester.ledger.runs()
    waiting = status_file.source_statuses(harvester.context, harvester.context.now())[0]
    row = run_report.run_row(run)
    harvester.harvest()
    written = status_file.source_statuses(harvester.context, harvester.context.now())[0]

    action = "free disk space or fix the directory, then run again; "
    action += "the plan is kept; the schedule or `stocktake harvest projects` will write it"
    assert (row["run"], row["outcome"], row["entry"]) == ("projects.1", "committing", None)
    assert str(row["reason"]).endswith(
        f"run projects.1 could not be written: No space left on device; {action}"
    )
    # the machine's folders are nobody's business
    public = str(row["reason"]).replace(f"{harvester.data}/", "")
    assert public.startswith("journal journal: run projects.1")
    assert (waiting.run, waiting.outcome, waiting.reason) == ("projects.1", "committing", public)
    assert (waiting.marks.failures, waiting.published, waiting.success) == (1, 0, None)
    assert waiting.account is not None
    assert (waiting.account.state, waiting.account.new, waiting.account.entry) == (
        "committing",
        10,
        None,
    )
    assert (written.run, written.outcome, written.reason) == ("projects.1", "committed", None)
    assert (written.marks.failures, written.published) == (0, 10)


def test_a_command_names_the_run_whose_commit_was_deferred(harvester: Harvester) -> None:
    harvest_all([], harvester.context, full=True, dry_run=False, quiet=True)  # the words
    refusing = replace(harvester.context, journal=FullDiskJournal(harvester.journal.folder))

    with capture_logs():
        (failed,) = harvest_all(
            [harvester.source], refusing, full=True, dry_run=False, quiet=True
        ).values()

    assert isinstance(failed, run_report.FailedRun)
    row = run_report.failed_row("projects", failed)
    assert "the plan is kept; the schedule or" in failed.reason
    assert (row["run"], row["outcome"]) == ("projects.1", "committing")


def test_an_incomplete_run_stays_incomplete_after_a_deferred_commit(harvester: Harvester) -> None:
    harvester.registry.total = 12
    with pytest.raises(JournalWriteError):
        harvest(
            harvester.source,
            replace(harvester.context, journal=FullDiskJournal(harvester.journal.folder)),
        )

    plan = harvester.harvest()

    assert (plan.run.id, plan.run.state) == ("projects.1", State.INCOMPLETE)
    assert (
        plan.run.reason
        == "the source reported 12 records but returned 10; no record was marked as deleted"
    )


def test_an_approved_plan_with_a_deferred_commit_is_written_by_the_next_run(
    filled: Harvester,
) -> None:
    del filled.registry.projects[3:]
    assert filled.harvest().hold_reason
    with pytest.raises(JournalWriteError):
        plan_decisions.approve(
            replace(filled.context, journal=FullDiskJournal(filled.journal.folder)),
            filled.source,
            "projects.2",
            by="ann",
        )
    result = status_file.source_statuses(filled.context, NOON)[0]

    plan = filled.harvest()

    assert (result.run, result.outcome, result.plan) == ("projects.2", "committing", None)
    assert (plan.run.id, plan.run.state) == ("projects.2", State.COMMITTED)


def test_a_ledger_failure_after_the_journal_entry_loses_nothing(
    harvester: Harvester, tmp_path: Path
) -> None:
    forgetful = FullOnceLedger(f"sqlite:///{tmp_path}/ledger.sqlite")
    with pytest.raises(LedgerError, match="disk is full"):
        harvest(harvester.source, replace(harvester.context, ledger=forgetful))
    forgetful.close()
    result = status_file.source_statuses(harvester.context, NOON)[0]

    plan = harvester.harvest()

    assert (result.run, result.outcome) == ("projects.1", "committing")
    assert [entry.run for entry in harvester.journal.entries()] == ["projects.1"]
    assert (plan.run.state, harvester.published) == (State.COMMITTED, 10)


def test_a_vocabulary_that_the_journal_refuses_is_written_the_next_time(
    context: HarvestContext,
) -> None:
    with pytest.raises(JournalWriteError):
        publish_vocabularies.publish(
            replace(context, journal=FullDiskJournal(context.journal.folder))
        )
    (waiting,) = context.ledger.runs()

    publication = publish_vocabularies.publish(context)

    assert "No space left on device" in str(waiting.reason)
    assert publication is not None
    assert (publication.id, publication.state, publication.reason) == (
        waiting.id,
        State.COMMITTED,
        None,
    )


def test_an_unwritable_journal_directory_is_reported_with_the_action(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")

    with pytest.raises(
        JournalWriteError,
        match=r"journal .*/journal cannot be written: .*; free disk space or fix the directory, then run again",
    ):
        Journal(tmp_path / "journal")


def test_an_unwritable_journal_can_be_read_and_fails_only_runs_with_changes(
    filled: Harvester, tmp_path: Path
) -> None:
    filled.registry.projects[0]["name"] = "Another name"
    (filled.data / "journal" / "lock").unlink()
    (filled.data / "journal" / "lock").mkdir()

    with (
        capture_logs() as logs,
        open_context(
            filled.data, f"sqlite:///{tmp_path}/ledger.sqlite", BASE, NetworkSettings("")
        ) as looking,
    ):
        runs = [run.id for run in looking.ledger.runs()]
        with pytest.raises(
            JournalWriteError,
            match=r"journal .* cannot be written: Is a directory; free disk space or fix the directory, then run again",
        ):
            harvest(filled.source, replace(looking, network=filled.context.network))

    assert runs == ["projects.1"]
    assert [log["event"] for log in logs] == ["journal not writable; nothing can be published"]


def test_an_unwritable_status_file_does_not_fail_a_run(harvester: Harvester) -> None:
    (harvester.data / "status.nq.new").mkdir()

    errors = logged_errors(harvester.source, harvester.context)

    assert {error["event"] for error in errors} == {"status file not written"}
    assert all(
        "status.nq: Is a directory; free disk space or fix the directory" in error["reason"]
        for error in errors
    )
    assert harvester.ledger.runs("projects")[0].state is State.COMMITTED


def test_a_half_written_status_file_is_replaced_without_leftovers(filled: Harvester) -> None:
    (filled.data / "status.nq.new").write_text("half")

    status_file.write_status(filled.context)

    assert sorted(path.name for path in filled.data.glob("status*")) == ["status.nq"]


def test_a_lock_that_cannot_be_created_fails_the_run_with_the_action(harvester: Harvester) -> None:
    (harvester.data / "locks").write_text("a file where the folder should be")

    with pytest.raises(
        DataDirectoryError,
        match=r"locks/projects\.lock: .*; free disk space or fix the directory, then run again",
    ):
        harvester.harvest()


def test_a_ledger_locked_by_another_program_rolls_the_transaction_back(
    filled: Harvester, tmp_path: Path
) -> None:
    impatient = replace(
        filled.context, ledger=Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", lock_timeout=0)
    )
    with sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            HarvestError,
            match="ledger: database is locked; nothing of this step was kept, run again when it is fixed",
        ):
            harvest(filled.source, impatient, full=True)
    other.close()
    impatient.ledger.close()

    plan = filled.harvest(full=True)

    assert (plan.run.id, plan.run.state) == ("projects.2", State.UNCHANGED)


def test_a_ledger_of_another_journal_writes_nothing(filled: Harvester, tmp_path: Path) -> None:
    other = replace(filled.context, ledger=Ledger(f"sqlite:///{tmp_path}/another.sqlite"))

    for operation in (
        lambda: harvest(filled.source, other),
        lambda: publish_vocabularies.publish(other),
    ):
        with pytest.raises(
            LedgerError,
            match=r"the journal's last entry, 1, was written by projects\.1, which is not in this ledger; ",
        ):
            operation()
    other.ledger.close()

    assert [entry.run for entry in filled.journal.entries()] == ["projects.1"]


def test_a_run_is_synced_to_disk_before_its_entry(tmp_path: Path, context: HarvestContext) -> None:
    if why := syscall_tracer.refusal():
        pytest.skip(why)
    run = context.ledger.create_run("projects", NOON, "rules", is_full=True, since=None)

    def save(state: State) -> int:
        def work() -> None:
            ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
            ledger.save(replace(run, state=state))
            os._exit(0)  # closing would bring all to the disk

        return sum(
            call == "fdatasync"
            for call in syscall_tracer.trace(work, None, tmp_path / "errors").calls
        )

    assert (save(State.RUNNING), save(State.COMMITTING) > 0) == (0, True)


class FaultyPool(WorkerPool):
    def submit(self, processor: RecordProcessor, inputs: Sequence[RecordInput]) -> PendingResults:
        raise RuntimeError("dictionary changed size during iteration")


def test_a_bug_ends_the_run_as_failed(harvester: Harvester) -> None:
    (error,) = logged_errors(harvester.source, replace(harvester.context, pool=FaultyPool(BASE)))

    (run,) = harvester.ledger.runs("projects")
    assert error["event"] == "run failed: this is a bug, please report it"
    assert run.state is State.FAILED
    assert (
        run.reason
        == "a fault of this program, please report it (RuntimeError: dictionary changed size during iteration)"
    )
    assert status_file.source_statuses(harvester.context, NOON)[0].marks.failures == 1


class Deadly(ProcessExecutor):
    def submit(self, unit: WorkUnit) -> Future[list[StagedRecord]]:
        died: Future[list[StagedRecord]] = Future()
        died.set_exception(BrokenProcessPool("a process was terminated abruptly"))
        return died


def test_records_that_crash_every_worker_fail_the_run_with_the_action(harvester: Harvester) -> None:
    pool = WorkerPool(BASE)
    # as after a large source: what comes next goes to a process
    pool.record_count, pool._executor = 10_000, Deadly(1)

    with pytest.raises(
        ValidationCrashError,
        match="projects: 3 processes that validate the same records died; run again",
    ):
        harvest(harvester.source, replace(harvester.context, pool=pool))

    assert harvester.ledger.runs("projects")[0].state is State.FAILED


@pytest.mark.smoke
def test_output_to_a_full_disk_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "stocktake", "--version"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip

    assert (process.returncode, process.stderr) == (
        1,
        "No space left on device; free space, then run the command again\n",
    )
