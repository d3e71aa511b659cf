"""Open the ledger, the context of runs and source definitions for commands; print rows, runs and plans
as tables, and the progress of runs.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from command_line.console import (
    fail,
    format_cell,
    make_table,
    out,
    print_lines,
    print_note,
    print_rows,
)
from command_line.settings import Settings
from harvesters.errors import LedgerError, SourceDefinitionError
from harvesters.ledger.integrity import has_ledger, require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import CLUSTERS, LINKS, VOCABULARY, Run, State
from harvesters.runs import run_report
from harvesters.runs.run_report import FailedRun

if TYPE_CHECKING:  # A listing needs none of these.
    from harvesters.network.fetch import NetworkSettings
    from harvesters.notifications.delivery import Channels
    from harvesters.runs.context import HarvestContext
    from harvesters.runs.plan import Plan
    from harvesters.source import Definitions, Source


def network_settings(settings: Settings) -> NetworkSettings:
    """Return the settings of requests to registries; each retry is logged."""
    module = import_module("harvesters.network.fetch")
    module.install_retry_logging()
    network: NetworkSettings = module.NetworkSettings(settings.contact, settings.allow_hosts)
    return network


def harvest_context(settings: Settings) -> AbstractContextManager[HarvestContext]:
    """Open the context of runs; each run is in a child process."""
    processes, workers = import_module("harvesters.pipeline.processes"), settings.processes
    open_context: Callable[..., AbstractContextManager[HarvestContext]] = import_module(
        "harvesters.runs.context"
    ).open_context
    return open_context(
        settings.data,
        settings.ledger,
        settings.base,
        network_settings(settings),
        settings.shapes_engine,
        settings.sources,
        processes.DEFAULT_WORKERS if workers is None else workers,
        settings.dask,
        processes.ChildProcesses(),
        settings.name,
    )


def notification_channels(settings: Settings) -> Channels:
    """Return the channels for alerts and other messages."""
    delivery = import_module("harvesters.notifications.delivery")
    channels: Channels = delivery.Channels(
        delivery.parse_mail_server(settings.smtp) if settings.smtp else None,
        settings.webhook_secret,
        settings.name,
        network_settings(settings),
        settings.public_url,
    )
    return channels


def load_sources(
    settings: Settings,
    names: Sequence[str] = (),
    report: Callable[[str, str], None] = lambda _, message: print_note(message, "red"),
) -> Definitions:
    """Load the named source definitions or, without names, all; *report* the name and the faults of
    each invalid one.

    An invalid definition does not stop the other sources. Exit with 2 if a name is unknown, or if
    there is no directory of definitions.
    """
    try:
        check = import_module("harvesters.pipeline.record_processor").check_compatible
        load: Callable[..., Definitions] = import_module("harvesters.source").load_all
        definitions = load(settings.sources, check)
    except SourceDefinitionError as error:
        fail(str(error), 2)
    known = sorted([*definitions.sources, *definitions.errors])
    if unknown := [name for name in names if name not in known]:
        fail(f"no source named {unknown[0]!r}; known sources: {', '.join(known) or 'none'}", 2)
    chosen = list(dict.fromkeys(names)) or known
    errors = {name: definitions.errors[name] for name in chosen if name in definitions.errors}
    for name, message in errors.items():
        report(name, message)
    sources = {name: definitions.sources[name] for name in chosen if name in definitions.sources}
    return replace(definitions, sources=sources, errors=errors)


def load_source(settings: Settings, name: str) -> Source:
    """Return the named source; exit with 2 if there is none, or if its definition is invalid."""
    definitions = load_sources(settings, [name])
    if definitions.errors:
        raise typer.Exit(2)
    return definitions.sources[name]


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger after a check for damage. Its folder is created, since a key or an edition
    may be stored before any run.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    require_intact(settings.ledger)
    with closing(Ledger(settings.ledger)) as ledger:
        yield ledger


@contextmanager
def open_existing(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger. Raises LedgerError if this machine has none, since opening would create it."""
    if not has_ledger(settings.ledger):
        raise LedgerError(
            "this machine has no ledger, before the first harvest or as a mirror; harvest first, or ask the installation that harvests"
        )
    with open_ledger(settings) as ledger:
        yield ledger


def current_user() -> str:
    """Return the user at the terminal for the audit log; users of a container may have no name."""
    try:
        return f"{getpass.getuser()} at the terminal"
    except (KeyError, OSError):
        return f"user {os.getuid()} at the terminal"


def print_statistics(details: run_report.Row) -> None:
    """Print the statistics of a run (``run_report.run_details``), and below them its times and
    reason.
    """
    out.print(statistics_table(details))
    print_lines(*statistics_lines(details))


def print_runs(
    rows: Sequence[Mapping[str, object]], title: str, json: bool, *, empty: str = "none"
) -> None:
    """Print runs as JSON, or as a table with the reasons below."""
    print_rows(rows if json else run_list(rows), title, json, empty=empty)
    if not json:
        print_lines(*reason_lines(rows))


# ---- rows as tables, and the progress of runs

_MAX_REASONS = 5  # printed for each source


def results_table(results: Mapping[str, Plan | FailedRun], *, dry_run: bool) -> Table | Text:
    """Return a table with a row per source, with the reason of each run that failed or is held."""
    rows = [
        {
            "source": source,
            "outcome": result.outcome
            if isinstance(result, FailedRun)
            else run_report.describe_outcome(result, dry_run=dry_run),
            "records": result.reason if isinstance(result, FailedRun) else _records(result),
        }
        for source, result in results.items()
    ]
    return make_table(rows, "Dry run: nothing was changed" if dry_run else "Runs")


def _records(plan: Plan) -> str:
    counts = _describe_counts(plan.counts, plan.run.network)
    return "\n".join(filter(None, (counts, plan.run.reason or plan.hold_reason)))


def failure_lines(source: str, plan: Plan, ledger: Ledger, program: str) -> list[str]:
    """Return lines with at most five reasons why records were not published, and the command that
    lists them, which begins with *program*. A dry run stores no records, so it has no command.
    """
    reasons = list(run_report.failure_reasons(plan, ledger).items())
    rest = len(reasons) - _MAX_REASONS
    is_stored = reasons and not plan.failures
    return [
        *(
            f"{source}: {count:,} {'record' if count == 1 else 'records'} not published: "
            f"{escape(reason)}"
            for reason, count in reasons[:_MAX_REASONS]
        ),
        *([f"{source}: and {rest:,} other reasons; to see all: --json"] if rest > 0 else []),
        *([f"{source}: to see them: {program} runs show {plan.run.id}"] if is_stored else []),
    ]


def purpose_line(withheld: int, program: str) -> str:
    """Return the line on records that the demo withholds, with the command that counts them.

    >>> purpose_line(43, "stocktake")
    '43 records withheld on purpose: the simulated registries have faults; to see them: stocktake runs list'
    """
    return (
        f"{withheld:,} {'record' if withheld == 1 else 'records'} withheld on purpose: "
        f"the simulated registries have faults; to see them: {program} runs list"
    )


def run_list(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Return the columns of runs (``run_report.run_row``) that fit on a line of 80."""
    return [
        {
            "run": row["run"],
            "started": _minute(row["started"]),
            "outcome": row["outcome"],
            "records": _NOT_RECORDS.get(row["run"].rpartition(".")[0])
            or _describe_counts(row["counts"], row["network"]),
        }
        for row in rows
    ]


def _minute(time: str) -> str:
    """Return an ISO 8601 time in UTC without seconds and offset.

    >>> _minute("2026-03-01T12:30:15+00:00")
    '2026-03-01 12:30'
    """
    return time[: len("2026-01-01T00:00")].replace("T", " ")


def _describe_counts(counts: Mapping[str, int], network: Mapping[str, int]) -> str:
    """Return the counts of a run, or that its source was not read since it reported no change."""
    if network.get("unchanged") and not counts.get("fetched"):
        return f"not read: unchanged; {counts.get('published_after', 0):,} stay published"
    return format_cell(counts) or "none"


def reason_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each run (``run_report.run_row``) that has a reason."""
    return [f"{row['run']}: {row['reason']}" for row in rows if row["reason"]]


def statistics_table(row: Mapping[str, Any]) -> Table | Text:
    """Return a table of a run's statistics (``run_report.run_details``), one number per line, in
    the order of the sum.
    """
    counts, quads = row["counts"], row["quads"]
    names = {"published_after": "published if approved"} if row["outcome"] in _UNPUBLISHED else {}
    listed = [
        *(
            (counts[name], names.get(name, name.replace("_", " ")), text)
            for name, text in _STATISTICS.items()
            if name in counts and (counts[name] or name in _ALWAYS_SHOWN)
        ),
        *(
            (quads[name], f"quads {name}", text)
            for name, text in _QUAD_STATISTICS.items()
            if quads[name] is not None
        ),
        *(
            (count, f"requests: {name.replace('_', ' ')}", _REQUESTS.get(name, ""))
            for name, count in sorted(row["network"].items())
        ),
    ]
    rows = [{"number": f"{number:,}", "what": name, "more": text} for number, name, text in listed]
    return make_table(rows, f"{row['run']}: {row['outcome']}", header=False)


def statistics_lines(row: Mapping[str, Any]) -> list[str]:
    """Return lines with the kind of run, its times, its reason and its notices."""
    ended = f", ended {_minute(row['ended'])} UTC" if row["ended"] else ""
    entry = f", journal entry {row['entry']}" if row["entry"] else ""
    scope = "full harvest" if row["kind"] == "full" else "changes only"
    pages = "1 page" if row["pages"] == 1 else f"{row['pages']:,} pages"
    lines = [f"{scope}, started {_minute(row['started'])} UTC{ended}, {pages}{entry}"]
    texts = [notice["text"] for notice in row["notices"]]
    more = (
        [f"and {len(texts) - _MAX_REASONS:,} more; to see all: --json"]
        if len(texts) > _MAX_REASONS
        else []
    )
    return [*lines, *([row["reason"]] if row["reason"] else []), *texts[:_MAX_REASONS], *more]


def diff_lines(row: Mapping[str, Any]) -> list[str]:
    """Return a record's row (``commit.diff_rows``) as lines: key and outcome, removed and
    added statements.
    """
    reason = f" ({row['reason']})" if row["reason"] else ""
    other = (
        f" -> {row['other']}"
        if row["outcome"] == "replaced"
        else f" <- {row['other']}"
        if row["other"]
        else ""
    )
    lost, gained = (
        [f"[{colour}]{sign} {escape(line)}[/]" for line in row[name]]
        for name, sign, colour in _DIFF_SIDES
    )
    return [
        f"[bold]{escape(str(row['key']) + other)}[/bold] {row['outcome']}{escape(reason)}",
        *lost,
        *gained,
    ]


_DIFF_SIDES = (("removed", "-", "red"), ("added", "+", "green"))
_UNPUBLISHED = (State.HELD.value, State.REJECTED.value, State.SUPERSEDED.value)
_NOT_RECORDS = {
    VOCABULARY: "the vocabulary and its code lists",
    CLUSTERS: "clusters of records that are one thing",
    LINKS: "whether the links of records answer",
}
_ALWAYS_SHOWN = ("fetched", "published_before", "published_after")
_STATISTICS = {
    "reported": "reported by the source",
    "fetched": "records: the total of the lines that begin with +",
    "unreadable": "+ could not be read",
    "duplicate": "+ the key was seen before in this run",
    "withheld": "+ violate a rule; the last good data stays",
    "unchanged": "+ unchanged",
    "returned": "+ unchanged; were missing, now back",
    "new": "+ new",
    "changed": "+ changed",
    "reidentified": "+ content of another record under a new key",
    "deleted": "+ deleted by the source",
    "absent": "+ deleted by the source, and never published",
    "vanished": "missing at the source for the first time (kept online, marked)",
    "missing": "still missing at the source (kept online, marked)",
    "lost": "missing beyond the grace period; tombstones remain",
    "replaced": "now under a new key; tombstones point to it",
    "published_before": "published before the run",
    "published_after": "before + new + reidentified - deleted - lost - replaced",
}
_REQUESTS = {  # texts by the ``outcome`` of an error
    "sent": "including retries, redirects and robots.txt",
    "answered": "with a response that could be used, or that there is no robots.txt",
    "retried": "sent again after a failure",
    "unavailable": "answered that the server failed or is overloaded",
    "unreachable": "no connection",
    "stalled": "no complete response in time",
    "truncated": "the connection ended before the response did",
    "missing": "answered that the address does not exist",
    "denied": "answered that access is denied",
    "limited": "answered that there were too many requests",
    "web_page": "answered with a web page instead of data",
    "bot_protection": "stopped by bot protection in front of the registry",
    "robots": "not sent, since robots.txt forbids them",
    "malformed": "answered with something that is not HTTP",
}
_QUAD_STATISTICS = {
    "added": "in the journal entry",
    "removed": "in the journal entry",
    "after": "in a store of all entries up to it",
}


class ProgressBar(Progress):
    """A progress bar of the runs in progress: records and pages. Its display starts with the first
    step, in a thread of its own.
    """

    def __init__(self, console: Console, *, quiet: bool) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pages]}"),
            TimeElapsedColumn(),
        )
        super().__init__(*columns, console=console, disable=quiet, transient=True)
        self._runs: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def finish(self, source: str) -> None:
        if source in self._runs:
            self.remove_task(self._runs.pop(source))

    def show(self, run: Run) -> None:
        self.start()
        if run.source not in self._runs:
            self._runs[run.source] = self.add_task(run.source, total=None, pages="")
        pages = "1 page" if run.pages == 1 else f"{run.pages:,} pages"
        task = self._runs[run.source]
        self.update(task, completed=run.fetched, total=run.reported_total, pages=pages)
