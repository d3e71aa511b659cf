"""Define the commands harvest and remap."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from command_line.console import Json
from command_line.settings import Context

app = typer.Typer()
_RUNS = "command_line.source_runs"  # imported late, since it imports most libraries
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Compute and print the plan; change nothing.")
]
Supersede = Annotated[
    list[str] | None,
    typer.Option(
        "--supersede",
        metavar="PLAN",
        help="Run although this plan of the source awaits approval; repeatable.",
    ),
]


@app.command()
def harvest(
    ctx: Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Sources to harvest (default: all enabled sources).")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Full harvest: read all records, not only changes since the last run."
        ),
    ] = False,
    dry_run: DryRun = False,
    supersede: Supersede = None,
    json: Json = False,
) -> None:
    """Harvest registries and publish the changes. Exit code 1 if a run failed, was held or is
    incomplete, 2 if a source definition is invalid; the other sources are harvested.
    """
    code = import_module(_RUNS).run_sources(
        ctx.obj, names or [], supersede or [], full=full, dry_run=dry_run, json=json
    )
    raise typer.Exit(code)


@app.command()
def remap(
    ctx: Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Sources to re-map (default: all enabled sources with an archive)."),
    ] = None,
    dry_run: DryRun = False,
    supersede: Supersede = None,
    json: Json = False,
) -> None:
    """Re-map archived data with today's mappings and rules, offline. Exit code 1 if a run failed or
    was held, 2 if a source definition is invalid; the other sources are re-mapped.
    """
    code = import_module(_RUNS).run_sources(
        ctx.obj, names or [], supersede or [], full=None, dry_run=dry_run, json=json
    )
    raise typer.Exit(code)
