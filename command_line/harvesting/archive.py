"""Define the command `archive prune`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from command_line.console import Json, print_json, print_lines
from command_line.harvesting.output import print_rows
from command_line.harvesting.terminal import harvest_context
from command_line.settings import Context
from harvesters.runs.upkeep import Pruning, plan_pruning, prune

app = typer.Typer(no_args_is_help=True, help="The archive of responses: prune by age and size.")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kMGT]?)B?\Z")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@app.command("prune")
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
    limit = _parse_size(size) if size is not None else None
    with harvest_context(ctx.obj) as context:
        before = context.now() - timedelta(days=days) if days is not None else None
        pruning = plan_pruning(context, before=before, max_bytes=limit)
        if not dry_run:
            prune(context, pruning)
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


def _parse_size(text: str) -> int:
    """Return a size such as 20GB in bytes; exit with 2 if it cannot be read."""
    match = _SIZE.match(text)
    if match is None:
        raise typer.BadParameter(
            f"--size is {text!r}; use a number with kB, MB, GB or TB, such as 20GB"
        )
    return int(float(match[1]) * _UNITS[match[2]])
