"""Define the command `sources report`."""

from __future__ import annotations

from typing import Annotated

import typer

from command_line.console import fail, print_json
from command_line.harvesting.output import open_existing
from command_line.harvesting.terminal import load_source
from command_line.settings import Context
from harvesters.inspection.source_report import report_source
from journal.journal import Journal

app = typer.Typer()


@app.command()
def report(ctx: Context, name: Annotated[str, typer.Argument(help="The source.")]) -> None:
    """Report, as JSON, what the newest run of a source withheld and fixed, by rule and the
    publisher's own field.

    Quality warnings of published records are at /source/NAME/report. Exit code 1 if there was no
    run, or if there is no ledger, as on a mirror.
    """
    settings = ctx.obj
    with open_existing(settings) as ledger:
        result = report_source(
            load_source(settings, name),
            ledger,
            Journal(settings.data / "journal"),
            settings.base,
            settings.data / "archive",
            settings.shapes_engine,
        )
    if result is None:
        fail(f"{name}: there is no run to report on; harvest it first")
    print_json(result, is_indented=True)
