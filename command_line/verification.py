"""The command ``verify``; what it does is imported when it runs, so that its help starts soon."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from command_line.settings import Context

app = typer.Typer()


@app.command()
def verify(
    context: Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Rebuild what can be rebuilt from the journal. Stop the server first."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every file of the data directory for damage. Exit code 1 if damage remains."""
    import_module("command_line.verify_data").verify(context.obj, repair=repair, as_json=as_json)
