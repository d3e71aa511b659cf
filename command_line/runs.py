"""Define the commands that make runs, harvest and remap, that list runs, plans and sources, and that prune the archive."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from command_line.console import Json, fail, make_table, out, print_json, print_lines, print_rows
from command_line.settings import Context
from command_line.workspace import (
    diff_lines,
    harvest_context,
    load_sources,
    open_ledger,
    print_runs,
    print_statistics,
)
from harvesters.errors import SourceDefinitionError
from harvesters.ledger.ledger import LISTED_RUNS, Ledger
from harvesters.ledger.models import Outcome
from harvesters.runs import run_report
from harvesters.runs.run_log import interrupted_runs
from harvesters.source import read

if TYPE_CHECKING:
    from harvesters.runs.upkeep import Pruning

_SAMPLE_SIZE = 10  # records shown of each outcome if none is chosen


app = typer.Typer()


runs = typer.Typer()
Outcomes = Annotated[
    list[Outcome] | None,
    typer.Option("--outcome", help="Only records with this outcome; repeatable."),
]


@runs.command("list")
def list_runs(
    ctx: Context,
    source: Annotated[str | None, typer.Argument(help="Only runs of this source.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of runs.", min=1)] = 50,
    json: Json = False,
) -> None:
    """List runs, newest first, with counts and outcome."""
    with open_ledger(ctx.obj) as ledger:
        runs = ledger.runs(source, limit)
        interrupted = interrupted_runs(ledger, ctx.obj.data, runs)
        rows = [run_report.run_row(run, is_interrupted=run.id in interrupted) for run in runs]
    print_runs(rows, "Runs", json, empty="none yet; start one: stocktake harvest")


@runs.command("show")
def show_run(
    ctx: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Run id; see `stocktake runs`.")],
    outcome: Outcomes = None,
    json: Json = False,
) -> None:
    """Show the statistics of a run and its records: all with one outcome, or some of each."""
    with open_ledger(ctx.obj) as ledger:
        print_run(ledger, ctx.obj.data, id, outcome or [], json=json)


@runs.command("log")
def show_log(
    ctx: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Run id; see `stocktake runs`.")],
    limit: Annotated[int, typer.Option(help="Maximum number of lines, the newest.", min=1)] = 200,
    json: Json = False,
) -> None:
    """Show the log of a run, also of one in progress."""
    with open_ledger(ctx.obj) as ledger:
        run = run_report.get_run(id, ledger)
        lines = ledger.log_lines(run=run.id, limit=limit)[::-1]
    print_rows(lines, f"Log of {id}", json, "time level event fields", empty="no lines")


def print_run(ledger: Ledger, data: Path, id: str, outcomes: list[Outcome], *, json: bool) -> None:
    """Print a run's statistics and records."""
    run = run_report.get_run(id, ledger)
    is_interrupted = bool(interrupted_runs(ledger, data, [run]))
    details = run_report.run_details(run, ledger, is_interrupted=is_interrupted)
    if json:
        records = run_report.record_rows(run, ledger, outcomes or list(Outcome))
        print_json({**details, "records": list(records)})
        return
    print_statistics(details)
    if not details["listed"]:
        print_lines(
            f"Its records are no longer listed: those of the last {LISTED_RUNS} runs of a source are."
        )
        return
    for each in outcomes or Outcome:
        records = run_report.record_rows(run, ledger, [each])
        rows = list(islice(records, None if outcomes else _SAMPLE_SIZE))
        if rows or outcomes:
            out.print(make_table(rows, f"{id}: {each.value}"))
        if rows and (left := ledger.outcomes(run)[each] - len(rows)) > 0:
            print_lines(f"and {left:,} more: stocktake runs show {id} --outcome {each.value}")


plans = typer.Typer()
_UNCHANGING = (Outcome.UNCHANGED, Outcome.ABSENT, Outcome.MISSING)  # outcomes that change nothing


@plans.command("list")
def list_plans(ctx: Context, json: Json = False) -> None:
    """List plans that await approval, oldest first, with the reasons."""
    with open_ledger(ctx.obj) as ledger:
        rows = [run_report.run_row(run) for run in ledger.awaiting_review()]
    print_runs(rows, "Plans that await approval", json)


@plans.command("show")
def show_plan(
    ctx: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Plan id (the id of its run).")],
    diff: Annotated[
        bool, typer.Option("--diff", help="Show the removed and added statements of each record.")
    ] = False,
    outcome: Outcomes = None,
    json: Json = False,
) -> None:
    """Show the changes of a plan: statistics, and each changed or unpublished record."""
    with harvest_context(ctx.obj) as context:
        run = import_module("harvesters.runs.plan").find_held_plan(
            context.ledger, id, run_report.get_run(id, context.ledger).source
        )
        outcomes = outcome or [outcome for outcome in Outcome if outcome not in _UNCHANGING]
        rows = (
            import_module("harvesters.runs.commit").diff_rows(run, context, outcomes)
            if diff
            else run_report.record_rows(run, context.ledger, outcomes)
        )
        if json:
            print_json({**run_report.run_details(run, context.ledger), "records": list(rows)})
            return
        print_statistics(run_report.run_details(run, context.ledger))
        if diff:
            for row in rows:
                out.print("\n".join(diff_lines(row)), soft_wrap=True, highlight=False)
        else:
            out.print(make_table(list(rows), f"Changes of {id}"))


archive = typer.Typer(no_args_is_help=True, help="The archive of responses: prune by age and size.")


@archive.command("prune")
def prune_archive(
    ctx: Context,
    days: Annotated[
        int | None,
        typer.Option(help="Delete files last written more than this many days ago.", min=0),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Then delete the oldest until this size is left, such as 20GB."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be deleted; change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete archived responses by age and size; keep what releases cite, current records come
    from, and a remap reads.

    Exit code 1 if more than the size is left, since the rest is needed.
    """
    if days is None and size is None:
        raise typer.BadParameter("name a limit: --days 365, --size 20GB, or both")
    try:
        limit = None if size is None else TypeAdapter(ByteSize).validate_python(size)
    except ValidationError as error:
        raise typer.BadParameter(
            f"--size is {size!r}; use a number with kB, MB, GB or TB, such as 20GB"
        ) from error
    with harvest_context(ctx.obj) as context:
        before = context.now() - timedelta(days=days) if days is not None else None
        upkeep = import_module("harvesters.runs.upkeep")
        pruning = upkeep.plan_pruning(context, before=before, max_bytes=limit)
        if not dry_run:
            upkeep.prune(context, pruning)
    _print_pruning(pruning, dry_run=dry_run, json=json)
    raise typer.Exit(int(limit is not None and pruning.bytes_after > limit))


def _print_pruning(pruning: Pruning, *, dry_run: bool, json: bool) -> None:
    rows = [
        {"file": file.name, "bytes": file.bytes, "written": f"{file.written:%Y-%m-%d %H:%M}"}
        for file in pruning.deleted
    ]
    if json:
        summary = {"kept": pruning.remaining, "bytes": pruning.bytes_after, "dry_run": dry_run}
        print_json({"deleted": rows, **summary})
        return
    print_rows(rows, "Would be deleted" if dry_run else "Deleted", json=False)
    remaining = sorted(pruning.remaining.items())
    print_lines(*(f"kept, {reason}: {count:,}" for reason, count in remaining))
    print_lines(f"left: {pruning.bytes_after:,} bytes")


@app.command("list")
def list_sources(ctx: Context, json: Json = False) -> None:
    """List sources: schedule, last run, published records and hold; with --json also the rest.
    Exit code 2 if a definition is invalid.
    """
    definitions = load_sources(ctx.obj)
    with open_ledger(ctx.obj) as ledger:
        rows = run_report.source_rows([*definitions.sources.values()], ledger, ctx.obj.data)
    print_rows(
        rows,
        "Sources",
        json,
        "name every last published enabled hold",
        empty=f"none; add a source definition to {ctx.obj.sources}",
    )
    raise typer.Exit(2 if definitions.errors else 0)


def source_file(folder: Path, name: str) -> Path:
    """Return the file of a source definition; *name* is its path or the name of a source. Exit with
    2 if there is none.
    """
    file = folder / f"{name}.toml"
    if Path(name).is_file():
        return Path(name)
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) or "none"
        fail(f"no file and no source named {name!r}; the sources in {folder} are: {known}", 2)
    return file


@app.command("check")
def check_sources(
    ctx: Context,
    definitions: Annotated[
        list[str] | None,
        typer.Argument(help="Names or paths of source definitions (default: all)."),
    ] = None,
    json: Json = False,
) -> None:
    """Check source definitions offline. Exit code 1 if one is invalid."""
    files = (
        [source_file(ctx.obj.sources, name) for name in definitions]
        if definitions
        else sorted(ctx.obj.sources.glob("*.toml"))
    )
    rows = [_check_source(file) for file in files]
    if rows or json:
        print_rows(rows, "Source definitions", json, "definition result")
    if not rows:
        fail(f"no source definitions in {ctx.obj.sources}; set --sources or STOCKTAKE_SOURCES", 2)
    raise typer.Exit(int(any(row["result"] != "valid" for row in rows)))


def _check_source(file: Path) -> dict[str, object]:
    try:
        source, faults = read(file)
    except SourceDefinitionError as error:
        return {"definition": str(file), "result": str(error)}
    if source.protocol and source.mapping:
        processor = import_module("harvesters.pipeline.record_processor")
        faults += processor.compatibility_faults(source)
    if faults:
        return {"definition": str(file), "result": "\n".join(fault.text for fault in faults)}
    return {
        "definition": str(file),
        "result": "valid",
        "protocol": source.protocol,
        "mapping": source.mapping,
    }
