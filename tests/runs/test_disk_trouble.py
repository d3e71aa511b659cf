from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import syscall_tracer
from projects import NOON, Harvester
from structlog.testing import capture_logs

from command_line.source_runs import run_all
from harvesters.errors import DataDirectoryError, HarvestError, LedgerError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import StagedRecord, State
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.record_processor import (
    PendingResults,
    ProcessExecutor,
    RecordInput,
    RecordProcessor,
    WorkerPool,
)
from harvesters.runs import run_report, status_file
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest, harvest_and_log
from harvesters.source import Source
from journal.entry import Entry
from journal.errors import JournalWriteError
from journal.journal import Journal
from vocab.iris import BASE


class FullDiskJournal(Journal):
    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        def filling() -> Iterable[str]:
            yield next(iter(blocks))
            raise OSError(28, "No space left on device")

        return super().append(filling(), run=run, time=time, **more)


def on_full_disk(context: HarvestContext) -> HarvestContext:
    return replace(context, journal=FullDiskJournal(context.journal.folder))


def harvest_quietly(context: HarvestContext, *sources: Source) -> dict[str, Any]:
    return dict(
        run_all(sources, context, partial(harvest_and_log, full=True), dry_run=False, quiet=True)
    )


def runs_of(context: HarvestContext) -> list[str]:
    return [entry.run for entry in context.journal.entries()]


def logged_errors(source: Source, context: HarvestContext) -> list[dict[str, Any]]:
    """Harvest as the command does, and return the errors that are logged."""
    with capture_logs() as logs:
        harvest_quietly(context, source)
    return [dict(log) for log in logs if log["log_level"] == "error"]


def test_a_full_disk_fails_the_run_in_one_line_and_the_next_commits_it(
    harvester: Harvester,
) -> None:
    harvest_quietly(harvester.context)  # publishes the vocabulary only

    (error,) = logged_errors(harvester.source, on_full_disk(harvester.context))
    seen = runs_of(harvester.context)
    run = harvester.harvest(full=True).run

    reason = "projects.1 could not be written: No space left on device; free disk space or fix the directory"
    assert error["event"] == "run failed"
    assert reason in error["reason"]
    assert seen == ["vocabulary.1"]
    assert runs_of(harvester.context) == ["vocabulary.1", "projects.1"]
    assert (run.id, run.state) == ("projects.1", State.COMMITTED)


class FullOnceLedger(Ledger):
    """A ledger that is full once, just after the journal has written the entry."""

    full = True

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        if self.full:
            self.full = False
            raise LedgerError("ledger: database or disk is full; nothing of this step was stored")
        super().set_balance(entry, added, removed, after)


def test_a_deferred_commit_is_reported_with_reason_and_action(harvester: Harvester) -> None:
    def status() -> Any:
        return status_file.source_statuses(harvester.context, harvester.context.now())[0]

    for _ in range(3):  # each attempt fails as long as the disk is full
        with pytest.raises(JournalWriteError, match="No space left on device"):
            harvest(harvester.source, on_full_disk(harvester.context))

    (run,) = harvester.ledger.runs()
    waiting, row = status(), run_report.run_row(run)
    harvester.harvest()
    written = status()

    action = "free disk space or fix the directory, then run again; "
    action += "the plan is kept; the schedule or `stocktake harvest projects` will write it"
    reason = f"run projects.1 could not be written: No space left on device; {action}"
    assert (row["run"], row["outcome"], row["entry"]) == ("projects.1", "committing", None)
    assert str(row["reason"]).endswith(reason)
    # The status is public, so its reason has no folders of the machine.
    public = str(row["reason"]).replace(f"{harvester.data}/", "")
    assert public.startswith("journal journal: run projects.1")
    assert (waiting.run, waiting.outcome, waiting.reason) == ("projects.1", "committing", public)
    assert (waiting.marks.failures, waiting.published, waiting.success) == (1, 0, None)
    account = waiting.account
    assert (account.state, account.counts["new"], account.entry) == ("committing", 10, None)
    assert (written.run, written.outcome, written.reason) == ("projects.1", "committed", None)
    assert (written.marks.failures, written.published) == (0, 10)


def test_a_command_names_the_run_whose_commit_was_deferred(harvester: Harvester) -> None:
    harvest_quietly(harvester.context)  # publishes the vocabulary only

    with capture_logs():
        failed = harvest_quietly(on_full_disk(harvester.context), harvester.source)["projects"]

    row = run_report.failed_row("projects", failed)
    assert "the plan is kept; the schedule or" in failed.reason
    assert (row["run"], row["outcome"]) == ("projects.1", "committing")


def test_an_incomplete_run_stays_incomplete_after_a_deferred_commit(harvester: Harvester) -> None:
    harvester.registry.total = 12
    with pytest.raises(JournalWriteError):
        harvest(harvester.source, on_full_disk(harvester.context))

    run = harvester.harvest().run

    reason = "the list ended after 10 of 12 records; no record was marked as deleted"
    assert (run.id, run.state, run.reason) == ("projects.1", State.INCOMPLETE, reason)


def test_an_approved_plan_with_a_deferred_commit_is_written_by_the_next(filled: Harvester) -> None:
    del filled.registry.projects[3:]
    assert filled.harvest().hold_reason
    full = replace(filled, context=on_full_disk(filled.context))
    with pytest.raises(JournalWriteError):
        full.approve("projects.2")
    result = status_file.source_statuses(filled.context, NOON)[0]

    run = filled.harvest().run

    assert (result.run, result.outcome, result.plan) == ("projects.2", "committing", None)
    assert (run.id, run.state) == ("projects.2", State.COMMITTED)


def test_a_ledger_failure_after_the_journal_entry_loses_nothing(
    harvester: Harvester, tmp_path: Path
) -> None:
    forgetful = FullOnceLedger(f"sqlite:///{tmp_path}/ledger.sqlite")
    with pytest.raises(LedgerError, match="disk is full"):
        harvest(harvester.source, replace(harvester.context, ledger=forgetful))
    forgetful.close()
    result = status_file.source_statuses(harvester.context, NOON)[0]

    run = harvester.harvest().run

    assert (result.run, result.outcome) == ("projects.1", "committing")
    assert runs_of(harvester.context) == ["projects.1"]
    assert (run.state, harvester.published) == (State.COMMITTED, 10)


def test_a_vocabulary_that_the_journal_refuses_is_written_later(context: HarvestContext) -> None:
    with pytest.raises(JournalWriteError):
        publish_vocabulary(on_full_disk(context))
    (waiting,) = context.ledger.runs()

    run = publish_vocabulary(context)

    assert "No space left on device" in str(waiting.reason)
    assert run is not None
    assert (run.id, run.state, run.reason) == (waiting.id, State.COMMITTED, None)


ACTION = "free disk space or fix the directory, then run again"


def test_an_unwritable_journal_directory_is_reported_with_the_action(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")

    with pytest.raises(JournalWriteError, match=rf"journal .*/journal cannot be written: .*; {ACTION}"):  # fmt: skip
        Journal(tmp_path / "journal")


def test_an_unwritable_journal_can_be_read_and_fails_only_runs_with_changes(
    filled: Harvester, tmp_path: Path
) -> None:
    filled.registry.projects[0]["name"] = "Another name"
    (filled.data / "journal" / "lock").unlink()
    (filled.data / "journal" / "lock").mkdir()
    ledger, network = f"sqlite:///{tmp_path}/ledger.sqlite", NetworkSettings("")

    with capture_logs() as logs, open_context(filled.data, ledger, BASE, network) as looking:
        runs = [run.id for run in looking.ledger.runs()]
        with pytest.raises(JournalWriteError, match=f"cannot be written: Is a directory; {ACTION}"):
            harvest(filled.source, replace(looking, network=filled.context.network))

    assert runs == ["projects.1"]
    assert [log["event"] for log in logs] == ["journal not writable; nothing can be published"]


def test_an_unwritable_status_file_does_not_fail_a_run_and_a_half_written_one_is_replaced(
    harvester: Harvester,
) -> None:
    (harvester.data / "status.nq.new").mkdir()

    errors = logged_errors(harvester.source, harvester.context)

    reason = "status.nq: Is a directory; free disk space or fix the directory"
    assert {error["event"] for error in errors} == {"status file not written"}
    assert all(reason in error["reason"] for error in errors)
    assert harvester.ledger.runs("projects")[0].state is State.COMMITTED
    (harvester.data / "status.nq.new").rmdir()
    (harvester.data / "status.nq.new").write_text("half")
    status_file.write_status(harvester.context)
    assert sorted(path.name for path in harvester.data.glob("status*")) == ["status.nq"]


def test_a_lock_that_cannot_be_created_fails_the_run_with_the_action(harvester: Harvester) -> None:
    (harvester.data / "locks").write_text("a file where the folder should be")

    with pytest.raises(DataDirectoryError, match=rf"locks/projects\.lock: .*; {ACTION}"):
        harvester.harvest()


def test_a_ledger_locked_by_another_program_rolls_the_transaction_back(
    filled: Harvester, tmp_path: Path
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", lock_timeout=0)
    message = (
        "ledger: database is locked; nothing of this step was stored; run again when this is fixed"
    )
    with sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HarvestError, match=message):
            harvest(filled.source, replace(filled.context, ledger=ledger), full=True)
    other.close()
    ledger.close()

    run = filled.harvest(full=True).run

    assert (run.id, run.state) == ("projects.2", State.UNCHANGED)


def test_a_ledger_of_another_journal_writes_nothing(filled: Harvester, tmp_path: Path) -> None:
    other = replace(filled.context, ledger=Ledger(f"sqlite:///{tmp_path}/another.sqlite"))
    message = (
        r"the journal's last entry, 1, was written by projects\.1, which is not in this ledger; "
    )

    with pytest.raises(LedgerError, match=message):
        harvest(filled.source, other)
    with pytest.raises(LedgerError, match=message):
        publish_vocabulary(other)
    other.ledger.close()

    assert runs_of(filled.context) == ["projects.1"]


def test_a_run_is_synced_to_disk_before_its_entry(tmp_path: Path, context: HarvestContext) -> None:
    if why := syscall_tracer.refusal():
        pytest.skip(why)
    run = context.ledger.create_run("projects", NOON, "rules", is_full=True, since=None)

    def save(state: State) -> int:
        def work() -> None:
            ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
            ledger.save(replace(run, state=state))
            os._exit(0)  # closing would write all to the disk

        calls = syscall_tracer.trace(work, None, tmp_path / "errors").calls
        return sum(call == "fdatasync" for call in calls)

    assert (save(State.RUNNING), save(State.COMMITTING) > 0) == (0, True)


class FaultyPool(WorkerPool):
    def submit(self, processor: RecordProcessor, inputs: Sequence[RecordInput]) -> PendingResults:
        raise RuntimeError("dictionary changed size during iteration")


def test_a_bug_ends_the_run_as_failed(harvester: Harvester) -> None:
    (error,) = logged_errors(harvester.source, replace(harvester.context, pool=FaultyPool(BASE)))

    (run,) = harvester.ledger.runs("projects")
    reason = "a fault of this program, please report it (RuntimeError: dictionary changed size during iteration)"
    assert error["event"] == "run failed: this is a bug, please report it"
    assert (run.state, run.reason) == (State.FAILED, reason)
    assert status_file.source_statuses(harvester.context, NOON)[0].marks.failures == 1


class Deadly(ProcessExecutor):
    def send(self, task: bytes, records: bytes) -> Future[list[StagedRecord]]:
        died: Future[list[StagedRecord]] = Future()
        died.set_exception(BrokenProcessPool("a process was terminated abruptly"))
        return died


def test_records_of_workers_that_died_are_processed_by_the_process_of_the_run(
    harvester: Harvester,
) -> None:
    # After a large source the pool sends the next records to a process.
    pool = WorkerPool(BASE, record_count=10_000, executor=Deadly(1))

    with capture_logs() as logs:
        plan = harvest(harvester.source, replace(harvester.context, pool=pool))

    assert plan.run.state is State.COMMITTED
    assert "worker process exited; repeating its work" in [line["event"] for line in logs]


@pytest.mark.smoke
def test_output_to_a_full_disk_is_reported_in_one_line() -> None:
    command = [sys.executable, "-m", "stocktake", "--version"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)

    message = "No space left on device; free space, then run the command again\n"
    assert (process.returncode, process.stderr) == (1, message)
