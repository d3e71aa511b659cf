"""Reports: sources, runs and plans as rows, tables and a progress line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from harvesters.ledger.account import Run, State
from harvesters.ledger.book import Ledger
from harvesters.plan import Plan
from harvesters.source import Source
from harvesters.stage import Progress as Step

_ENDED = tuple(State)
_REASONS = 5  # told on the terminal for each source


def sources(cards: Sequence[Source], ledger: Ledger) -> list[dict[str, object]]:
    """Give a row for each card, with its last run's outcome."""
    rows: list[dict[str, object]] = []
    for card in cards:
        last = ledger.last_run(card.name, _ENDED)
        row = {"name": card.name, "title": card.title, "protocol": card.protocol, "mapping": card.mapping, "every": card.every}
        told = {"last": last.state.value if last else None, "published": ledger.published(card.name)}
        rows.append({**row, "enabled": card.enabled, **told})
    return rows


def run(it: Run) -> dict[str, object]:
    """Give a run as a row: its times as ISO 8601, its counts as the ledger has them."""
    took = (it.ended - it.started).total_seconds() if it.ended else None
    kind = "sweep" if it.sweep else "changes"
    row: dict[str, object] = {"run": it.id, "started": it.started.isoformat(), "seconds": took, "kind": kind, "outcome": it.state.value}
    return {**row, "pages": it.pages, "entry": it.entry, "counts": it.counts, "reason": it.reason}


def plan(it: Plan) -> dict[str, object]:
    """Give a plan as a row."""
    return {**run(it.run), "counts": it.counts, "published_before": it.before, "complete": it.complete, "held": it.held}


def harvested(it: Plan, ledger: Ledger) -> dict[str, object]:
    """Give a plan as a row, with each record that was not published and why; a dry run keeps none."""
    kept = [{"key": draft.key, "outcome": draft.outcome.value, "reason": draft.reason} for draft in ledger.troubles(it.run)]
    return {**plan(it), "not_published": kept}


def failure(source: str, ledger: Ledger) -> dict[str, object]:
    """Give the row of a source whose run failed: the run's, or no more than its name where it did not even begin."""
    failed = ledger.last_run(source, [State.FAILED])
    return run(failed) if failed else {"run": source, "outcome": State.FAILED.value}


def account(plans: Mapping[str, Plan | None], *, dry_run: bool) -> Table:
    """Show what each source's run did, a row a source; None is a run that failed."""
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
        made.add_row(source, _outcome(it, dry_run=dry_run), _told(it))
    return made


def reasons(source: str, it: Plan | None, ledger: Ledger) -> list[str]:
    """Tell in lines why records of a run were not published, at most five reasons; a dry run keeps none."""
    found = list(ledger.reasons(it.run).items()) if it else []
    lines = [f"{source}: {count:,} not published: {escape(reason)}" for reason, count in found[:_REASONS]]
    return lines + ([f"{source}: and {len(found) - _REASONS:,} other reasons; --json tells all"] if len(found) > _REASONS else [])


def _outcome(it: Plan | None, *, dry_run: bool) -> str:
    if it is None:
        return "[red]failed[/red]"
    told = "held" if it.held else "would commit" if dry_run else it.run.state.value
    return f"[yellow]{told}[/yellow]" if it.held or it.run.reason else told


def _told(it: Plan | None) -> str:
    if it is None:
        return "see the error above"
    why = it.held or it.run.reason
    return escape(_cell(it.counts) or "none came") + (f"\n[yellow]{escape(why)}[/yellow]" if why else "")


def table(rows: Sequence[Mapping[str, object]], title: str) -> Table:
    """Show rows; the columns are the keys of all of them, in the order met."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = Table(title=title, title_justify="left")
    for name in names:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(escape(_cell(row.get(name))) for name in names))
    return made


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items() if count)
    return "" if value is None else str(value)


class Bar:
    """The progress of the runs under way: pages, records, records a second."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet, transient=True)
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __enter__(self) -> Bar:
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
