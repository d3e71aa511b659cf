"""The command that upgrades a data directory and its ledger."""

from __future__ import annotations

from itertools import count
from typing import Annotated

import typer

from command_line.console import print_note
from command_line.settings import Context, Settings
from harvesters.ledger.database import Migration, pending_migrations
from harvesters.ledger.ledger import Ledger
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
    if not migrations and is_recorded:
        print("nothing to upgrade")
        return
    if dry_run:
        for migration in migrations:
            print(f"ledger {migration.revision}: {migration.description}")
        if not is_recorded:
            file = settings.data / data_format.FILE
            print(f"data directory: record the formats of its folders in {file}")
        return
    numbers = count(1)

    def show(migration: Migration) -> None:
        step = f"Ledger step {next(numbers)} of {len(migrations)}"
        print_note(f"{step}: {migration.description}", "dim")

    if migrations:
        Ledger(settings.ledger, on_migration=show).close()
    if not is_recorded:
        settings.data.mkdir(parents=True, exist_ok=True)
        data_format.record_formats(settings.data)
    print(f"upgraded: ledger steps {len(migrations)}, data directory {settings.data}")
    print(
        "next: stocktake verify; what is built from the journal is rebuilt by `stocktake serve` if its format has changed"
    )
