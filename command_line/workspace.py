"""Open the ledger, the context of runs and source definitions for commands, and print rows."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import typer

from command_line.console import fail, out, print_json, print_lines, print_note
from command_line.settings import Settings
from harvesters.compatibility import check_compatible
from harvesters.errors import LedgerError, SourceDefinitionError
from harvesters.ledger.integrity import has_ledger, require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.network.settings import NetworkSettings, install_retry_logging
from harvesters.notifications.delivery import Channels, parse_mail_server
from harvesters.pipeline.processes import ChildProcesses
from harvesters.runs import run_report, terminal_output
from harvesters.runs.context import HarvestContext, open_context
from harvesters.source import Definitions, Source, load_all


def network_settings(settings: Settings) -> NetworkSettings:
    """Return the settings of requests to registries; each retry is logged."""
    install_retry_logging()
    return NetworkSettings(settings.contact, settings.allow_hosts)


def harvest_context(settings: Settings) -> AbstractContextManager[HarvestContext]:
    """Open the context of runs; each run is in a child process."""
    return open_context(
        settings.data,
        settings.ledger,
        settings.base,
        network_settings(settings),
        settings.shapes_engine,
        settings.sources,
        settings.processes,
        settings.dask,
        ChildProcesses(),
        settings.name,
    )


def notification_channels(settings: Settings) -> Channels:
    """Return the channels for alerts and other messages."""
    return Channels(
        parse_mail_server(settings.smtp) if settings.smtp else None,
        settings.webhook_secret,
        settings.name,
        network_settings(settings),
        settings.public_url,
    )


def _print_fault(_name: str, message: str) -> None:
    print_note(message, "red")


def load_sources(
    settings: Settings,
    names: Sequence[str] = (),
    report: Callable[[str, str], None] = _print_fault,
) -> Definitions:
    """Load the named source definitions or, without names, all; *report* the name and the faults of
    each invalid one.

    An invalid definition does not stop the other sources. Exit with 2 if a name is unknown, or if
    there is no directory of definitions.
    """
    try:
        definitions = load_all(settings.sources, check_compatible)
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
    return Definitions(sources, errors)


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
    ledger = Ledger(settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


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
    out.print(terminal_output.statistics_table(details))
    print_lines(*terminal_output.statistics_lines(details))


def print_rows(
    rows: Sequence[Mapping[str, object]],
    title: str,
    json: bool,
    *,
    table_rows: Sequence[Mapping[str, object]] | None = None,
    empty: str = "none",
) -> None:
    """Print rows as JSON, or as a table: *table_rows* if the table has other columns, or the line
    *empty*.
    """
    if json:
        print_json(rows)
    else:
        out.print(
            terminal_output.make_table(rows if table_rows is None else table_rows, title, empty)
        )


def print_runs(
    rows: Sequence[Mapping[str, object]], title: str, json: bool, *, empty: str = "none"
) -> None:
    """Print runs as JSON, or as a table with the reasons below."""
    print_rows(rows, title, json, table_rows=terminal_output.run_list(rows), empty=empty)
    if not json:
        print_lines(*terminal_output.reason_lines(rows))
