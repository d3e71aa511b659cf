"""Write the report on the newest run of a source, for `sources report`."""

from __future__ import annotations

import sys
from contextlib import closing

import orjson
import typer

from command_line.harvesting.output import err
from command_line.harvesting.terminal import load_source
from command_line.settings import Settings
from harvesters.inspection.scratch import has_ledger
from harvesters.inspection.source_report import report_source
from harvesters.ledger.ledger import Ledger
from journal.journal import Journal


def write_report(settings: Settings, name: str) -> None:
    """Write the report on the source *name* to standard output; exit with 1 if there is no ledger
    or no run.
    """
    report = None
    reason = "this machine has no ledger, as a mirror; ask the installation that harvests"
    if has_ledger(settings.ledger):
        reason = "there is no run to report on; harvest it first"
        source, journal = load_source(settings, name), Journal(settings.data / "journal")
        with closing(Ledger(settings.ledger)) as ledger:
            report = report_source(
                source,
                ledger,
                journal,
                settings.base,
                settings.data / "archive",
                settings.shapes_engine,
            )
    if report is None:
        err.print(f"{name}: {reason}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()
