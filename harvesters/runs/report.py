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
from harvesters.ledger.models import Run, State
from harvesters.runs.commit import left
from harvesters.runs.plan import Plan
from harvesters.runs.stage import Progress as Step
from harvesters.source import Source

_ENDED = tuple(State)
_REASONS = 5  # told on the terminal for each source


def sources(cards: Sequence[Source], ledger: Ledger) -> list[dict[str, object]]:
    """Give a row for each card, with its last run's outcome."""
    rows: list[dict[str, object]] = []
    holds = ledger.holds()
    for card in cards:
        last = ledger.last_run(card.name, _ENDED)
        row = {"name": card.name, "title": card.title, "protocol": card.protocol, "mapping": card.mapping, "every": card.every}
        told = {"last": last.state.value if last else None, "published": ledger.count_published(card.name)}
        held = holds.get(card.name)
        rows.append({**row, "enabled": card.enabled, **told, "hold": (held.reason or f"held by {held.by}") if held else None})
    return rows


def run(it: Run) -> dict[str, object]:
    """Give a run as a row: its times as ISO 8601, its counts as the ledger has them."""
    took = (it.ended - it.started).total_seconds() if it.ended else None
    kind = "sweep" if it.sweep else "changes"
    row: dict[str, object] = {"run": it.id, "started": it.started.isoformat(), "seconds": took, "kind": kind, "outcome": it.state.value}
    entry = None if it.state is State.COMMITTING else it.entry  # until then it is the head that was there before
    return {**row, "pages": it.pages, "entry": entry, "counts": it.counts, "reason": it.reason}


def plan(it: Plan) -> dict[str, object]:
    """Give a plan as a row."""
    return {**run(it.run), "counts": it.counts, "published_before": it.before, "complete": it.complete, "held": it.held}


def harvested(it: Plan, ledger: Ledger, *, dry_run: bool = False) -> dict[str, object]:
    """Give a plan as a row, with each record that was not published and why; a dry run keeps none."""
    row = {**plan(it), "dry_run": dry_run, "outcome": outcome(it, dry_run=dry_run)}
    kept = [{"key": draft.key, "outcome": draft.outcome.value, "reason": draft.reason} for draft in ledger.failures(it.run)]
    return {**row, "not_published": kept}


def failure(source: str, ledger: Ledger, *, dry_run: bool) -> dict[str, object]:
    """Give the row of a source whose run failed: the run's, or no more than its name where it did not even begin or was a dry one."""
    failed = None if dry_run else _stopped(source, ledger) or ledger.last_run(source, [State.FAILED])
    return run(failed) if failed else {"run": source, "outcome": State.FAILED.value}


def _stopped(source: str, ledger: Ledger) -> Run | None:
    """Give the run whose commit was refused and waits, None where there is none."""
    opened = ledger.open_run(source)
    return opened if opened and left(opened) else None


def account(plans: Mapping[str, Plan | None], ledger: Ledger, *, dry_run: bool) -> Table:
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
        if opened and left(opened):
            made.add_row(source, f"[red]{opened.state.value}[/red]", _why(opened.reason or ""))
            continue
        made.add_row(source, "[yellow]put off[/yellow]" if opened and opened.reason else _outcome(it, dry_run=dry_run), _told(it))
    return made


def reasons(source: str, it: Plan | None, ledger: Ledger) -> list[str]:
    """Tell in lines why records of a run were not published, at most five reasons; a dry run keeps none."""
    found = list(ledger.failure_reasons(it.run).items()) if it else []
    lines = [f"{source}: {count:,} not published: {escape(reason)}" for reason, count in found[:_REASONS]]
    return lines + ([f"{source}: and {len(found) - _REASONS:,} other reasons; --json tells all"] if len(found) > _REASONS else [])


def _outcome(it: Plan | None, *, dry_run: bool) -> str:
    if it is None:
        return "[red]failed[/red]"
    told = outcome(it, dry_run=dry_run)
    return f"[yellow]{told}[/yellow]" if it.held or it.run.reason else told


def outcome(it: Plan, *, dry_run: bool) -> str:
    """Return how a run ended; of a dry run, how it would end.

    A dry run has no state of its own: its row in the ledger is deleted while it is still ``running``.
    """
    if not dry_run:
        return it.run.state.value
    return "would be held" if it.held else "would commit"


def _told(it: Plan | None) -> str:
    if it is None:
        return "see above"
    why = it.run.reason or it.held
    return escape(_cell(it.counts) or "none came") + (f"\n{_why(why)}" if why else "")


def _why(text: str) -> str:
    return f"[yellow]{escape(text)}[/yellow]"


def table(rows: Sequence[Mapping[str, object]], title: str) -> Table:
    """Show rows; the columns are the keys of all of them, in the order met, without those in which nothing stands."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    made = Table(title=title, title_justify="left")
    for name in names:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(escape(_cell(row.get(name))) for name in names))
    return made


def sums(row: Mapping[str, Any]) -> Table:
    """Show a run's account (``accounts.account``), a number a line, in the order in which they add up."""
    made = Table(title=f"{row['run']}: {row['outcome']}", title_justify="left", box=SIMPLE, show_header=False)
    for name in ("number", "what", "more"):
        made.add_column(name, justify="right" if name == "number" else "left", overflow="fold")
    counts, quads = row["counts"], row["quads"]
    for name, told in _SUMS.items():
        if name in counts and (counts[name] or name in _ALWAYS):
            made.add_row(f"{counts[name]:,}", name.replace("_", " "), told)
    for name, told in _QUADS.items():
        if quads[name] is not None:
            made.add_row(f"{quads[name]:,}", f"quads {name}", told)
    for name, count in sorted(row["network"].items()):
        made.add_row(f"{count:,}", f"requests: {name}", "")
    made.caption, made.caption_justify = escape("\n".join(_said(row))), "left"
    return made


def _said(row: Mapping[str, Any]) -> list[str]:
    """Tell in lines what is no number."""
    took = f", {row['seconds']:,.0f} s" if row["seconds"] is not None else ""
    entry = f", journal entry {row['entry']}" if row["entry"] else ""
    lines = [f"{row['kind']}, begun {row['started']}{took}, {row['pages']:,} pages{entry}"]
    texts = [notice["text"] for notice in row["notices"]]
    more = [f"and {len(texts) - _REASONS:,} more such; --json tells all"] if len(texts) > _REASONS else []
    return [*lines, *([row["reason"]] if row["reason"] else []), *texts[:_REASONS], *more]


def difference(row: Mapping[str, Any]) -> list[str]:
    """Show a record's row (``accounts.differences``) as lines: what it is, what it loses, what it gains."""
    why = f" ({row['reason']})" if row["reason"] else ""
    other = f" -> {row['other']}" if row["outcome"] == "replaced" else f" <- {row['other']}" if row["other"] else ""
    lost, gained = ([f"[{colour}]{sign} {escape(line)}[/]" for line in row[name]] for name, sign, colour in _SIDES)
    return [f"[bold]{escape(str(row['key']) + other)}[/bold] {row['outcome']}{escape(why)}", *lost, *gained]


_SIDES = (("removed", "-", "red"), ("added", "+", "green"))
_ALWAYS = ("fetched", "published_before", "published_after")
_SUMS = {
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
_QUADS = {"added": "in the journal entry", "removed": "in the journal entry", "after": "that a store holds of all entries up to it"}
_TOLD_APART = ("published_before", "published_after", "gone")  # in the account; a line of the listing tells what a run did


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items() if count and name not in _TOLD_APART)
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
