"""Open the context of runs, source definitions and notification channels for commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import typer

from command_line.console import fail, print_note
from command_line.settings import Settings
from harvesters.compatibility import check_compatible
from harvesters.errors import SourceDefinitionError
from harvesters.network.settings import NetworkSettings, install_retry_logging
from harvesters.notifications.delivery import Channels, parse_mail_server
from harvesters.pipeline.processes import ChildProcesses
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
