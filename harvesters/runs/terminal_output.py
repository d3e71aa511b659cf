"""Reports: sources, runs and plans as rows, tables and a progress line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from harvesters.ledger.ledger import Ledger
from harvesters.pipeline.page_processor import Progress as Step
from harvesters.runs import run_report
from harvesters.runs.commit import is_deferred
from harvesters.runs.plan import Plan

_MAX_REASONS = 5  # told on the terminal for each source


def results_table(plans: Mapping[str, Plan | None], ledger: Ledger, *, dry_run: bool) -> Table:
    """Show what each source's run did, a row a source; None is a run that failed, or that is put off and still open."""
    title = "What a run would do (dry run, nothing changed)" if dry_run else "Runs"
    made = Table(title=title, title_justify="left", show_footer=len(plans) > 1, box=SIMPLE)
    totals = Counter[str]()
    for it in plans.values():
        totals.update(it.counts if it else {})
    totals.pop("claimed", None)  # not every source claims a number
    made.add_column("source", footer="in all", no_wrap=True)
    made.add_column("outcome", no_wrap=True)
    made.add_column("records", footer=_cell(dict(totals)), overflow="fold")
    for source, it in plans.items():
        opened = ledger.open_run(source) if it is None else None
        if opened and is_deferred(opened):
            made.add_row(source, f"[red]{opened.state.value}[/red]", _reason_cell(opened.reason or ""))
            continue
        made.add_row(
            source, "[yellow]put off[/yellow]" if opened and opened.reason else _outcome_cell(it, dry_run=dry_run), _records_cell(it)
        )
    return made


def failure_lines(source: str, it: Plan | None, ledger: Ledger) -> list[str]:
    """Tell in lines why records of a run were not published, at most five reasons; a dry run keeps none."""
    found = list(ledger.failure_reasons(it.run).items()) if it else []
    lines = [f"{source}: {count:,} not published: {escape(reason)}" for reason, count in found[:_MAX_REASONS]]
    return lines + ([f"{source}: and {len(found) - _MAX_REASONS:,} other reasons; --json tells all"] if len(found) > _MAX_REASONS else [])


def _outcome_cell(it: Plan | None, *, dry_run: bool) -> str:
    if it is None:
        return "[red]failed[/red]"
    told = run_report.describe_outcome(it, dry_run=dry_run)
    return f"[yellow]{told}[/yellow]" if it.hold_reason or it.run.reason else told


def _records_cell(it: Plan | None) -> str:
    if it is None:
        return "see above"
    why = it.run.reason or it.hold_reason
    return escape(_cell(it.counts) or "none came") + (f"\n{_reason_cell(why)}" if why else "")


def _reason_cell(text: str) -> str:
    return f"[yellow]{escape(text)}[/yellow]"


def make_table(rows: Sequence[Mapping[str, object]], title: str) -> Table:
    """Show rows; the columns are the keys of all of them, in the order met, without those in which nothing stands."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    made = Table(title=title, title_justify="left")
    for name in names:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(escape(_cell(row.get(name))) for name in names))
    return made


def statistics_table(row: Mapping[str, Any]) -> Table:
    """Show a run's account (``accounts.account``), a number a line, in the order in which they add up."""
    made = Table(title=f"{row['run']}: {row['outcome']}", title_justify="left", box=SIMPLE, show_header=False)
    for name in ("number", "what", "more"):
        made.add_column(name, justify="right" if name == "number" else "left", overflow="fold")
    counts, quads = row["counts"], row["quads"]
    for name, told in _STATISTICS.items():
        if name in counts and (counts[name] or name in _ALWAYS_SHOWN):
            made.add_row(f"{counts[name]:,}", name.replace("_", " "), told)
    for name, told in _QUAD_STATISTICS.items():
        if quads[name] is not None:
            made.add_row(f"{quads[name]:,}", f"quads {name}", told)
    for name, count in sorted(row["network"].items()):
        made.add_row(f"{count:,}", f"requests: {name}", "")
    made.caption, made.caption_justify = escape("\n".join(_caption_lines(row))), "left"
    return made


def _caption_lines(row: Mapping[str, Any]) -> list[str]:
    """Tell in lines what is no number."""
    took = f", {row['seconds']:,.0f} s" if row["seconds"] is not None else ""
    entry = f", journal entry {row['entry']}" if row["entry"] else ""
    lines = [f"{row['kind']}, begun {row['started']}{took}, {row['pages']:,} pages{entry}"]
    texts = [notice["text"] for notice in row["notices"]]
    more = [f"and {len(texts) - _MAX_REASONS:,} more such; --json tells all"] if len(texts) > _MAX_REASONS else []
    return [*lines, *([row["reason"]] if row["reason"] else []), *texts[:_MAX_REASONS], *more]


def diff_lines(row: Mapping[str, Any]) -> list[str]:
    """Show a record's row (``accounts.differences``) as lines: what it is, what it loses, what it gains."""
    why = f" ({row['reason']})" if row["reason"] else ""
    other = f" -> {row['other']}" if row["outcome"] == "replaced" else f" <- {row['other']}" if row["other"] else ""
    lost, gained = ([f"[{colour}]{sign} {escape(line)}[/]" for line in row[name]] for name, sign, colour in _DIFF_SIDES)
    return [f"[bold]{escape(str(row['key']) + other)}[/bold] {row['outcome']}{escape(why)}", *lost, *gained]


_DIFF_SIDES = (("removed", "-", "red"), ("added", "+", "green"))
_ALWAYS_SHOWN = ("fetched", "published_before", "published_after")
_STATISTICS = {
    "claimed": "the source says it has so many",
    "fetched": "total of the lines below",
    "unreadable": "+ could not be read",
    "duplicate": "+ came again under a key that this run had met",
    "withheld": "+ break a rule; their last good data stays",
    "unchanged": "+ are as before",
    "returned": "+ are as before, and no longer vanished",
    "new": "+ are new",
    "changed": "+ have changed",
    "reidentified": "+ say what another record said, under a new key",
    "deleted": "+ are deleted, as the source says",
    "absent": "+ are deleted, as the source says, and were never here",
    "vanished": "did not come for the first time; still served, and marked",
    "missing": "did not come again; still served, and marked",
    "lost": "did not come for their whole time of grace: tombstones",
    "replaced": "are under a new key now: tombstones that name it",
    "published_before": "were published before",
    "published_after": "are published now: before + new + reidentified - deleted - lost - replaced",
}
_QUAD_STATISTICS = {
    "added": "in the journal entry",
    "removed": "in the journal entry",
    "after": "that a store holds of all entries up to it",
}
_OMITTED_COUNTS = ("published_before", "published_after", "gone")  # in the account; a line of the listing tells what a run did


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items() if count and name not in _OMITTED_COUNTS)
    return "" if value is None else str(value)


class ProgressBar:
    """The progress of the runs under way: pages, records, records a second."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet, transient=True)
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __enter__(self) -> ProgressBar:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End, and leave nothing on the screen."""
        self._progress.stop()

    def show(self, step: Step) -> None:
        """Show how far a source's run has come."""
        if step.source not in self._tasks:
            self._tasks[step.source] = (self._progress.add_task(step.source, total=step.claimed, pace=""), time.monotonic())
        task, began = self._tasks[step.source]
        pace = step.records / max(time.monotonic() - began, 0.001)
        told = f"{step.pages} pages, {pace:,.0f} records/s"
        self._progress.update(task, completed=step.records, total=step.claimed, pace=told)
