"""The command that upgrades a data directory and its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from command_line.console import err
from command_line.settings import Context, Settings
from harvesters.ledger.database import pending_migrations
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.migrations import Migration
from journal import data_format

app = typer.Typer()


@app.command()
def upgrade(
    context: Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the steps; change nothing.")
    ] = False,
) -> None:
    """Upgrade the ledger and the data directory of an older version. An interrupted upgrade
    continues at its next step.
    """
    settings: Settings = context.obj
    migrations = pending_migrations(settings.ledger)
    is_recorded = data_format.are_recorded(settings.data)
    if dry_run:
        _print_steps(settings.data, migrations, is_recorded=is_recorded)
        return
    if migrations:
        Ledger(settings.ledger, on_migration=_Progress(len(migrations)).show).close()
    if not is_recorded:
        settings.data.mkdir(parents=True, exist_ok=True)
        data_format.record_formats(settings.data)
    if not migrations and is_recorded:
        print("nothing to upgrade")
        return
    print(f"upgraded: ledger steps {len(migrations)}, data directory {settings.data}")
    print(
        "next: stocktake verify; what is built from the journal is rebuilt by `stocktake serve` if its format has changed"
    )


def _print_steps(data: Path, migrations: list[Migration], *, is_recorded: bool) -> None:
    for migration in migrations:
        print(f"ledger {migration.revision}: {migration.description}")
    if not is_recorded:
        print(f"data directory: record the formats of its folders in {data / data_format.FILE}")
    if not migrations and is_recorded:
        print("nothing to upgrade")


class _Progress:
    """Counts the steps and prints each."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def show(self, migration: Migration) -> None:
        """Print the step that begins."""
        self._done += 1
        err.print(
            f"Ledger step {self._done} of {self._total}: {migration.description}",
            style="dim",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
