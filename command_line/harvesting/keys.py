"""Define the commands `keys create`, `keys list` and `keys revoke`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from command_line.console import Json, print_json, print_note
from command_line.harvesting.operations import run_operation
from command_line.harvesting.output import open_ledger, print_rows
from command_line.settings import Context
from harvesters.admin.actions import create_key, revoke_key
from harvesters.admin.schemas import KeyView, key_view
from harvesters.errors import InvalidInputError
from harvesters.ledger import operators
from harvesters.site import utc_now

app = typer.Typer(no_args_is_help=True, help="Keys of the admin pages and API.")


@app.command()
def create(
    context: Context,
    name: Annotated[
        str,
        typer.Argument(help="Owner of the key, as the audit log shows it: a person or a program."),
    ],
    allowed: Annotated[
        str,
        typer.Option(
            "--scope",
            help="submit = submit records; read = also look; operate = also act; admin = also manage keys.",
        ),
    ],
    expires: Annotated[
        int | None,
        typer.Option(help="Expires after this many days (default: never).", min=1, max=36500),
    ] = None,
    json: Json = False,
) -> None:
    """Create a key and print it once: the ledger stores only its hash."""
    values = {"name": name, "scope": allowed, "days": expires}
    try:
        key, token = run_operation(context.obj, create_key, "", values)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error
    if json:
        print_json({**asdict(key_view(key, utc_now())), "key": token})
        return
    print(token)
    print_note("Copy this key now; it will not be shown again. Store it like a password.")


@app.command("list")
def list_keys(context: Context, json: Json = False) -> None:
    """List the keys, including revoked and expired ones. The secrets are not shown."""
    with open_ledger(context.obj) as ledger:
        views = [key_view(key, utc_now()) for key in operators.list_keys(ledger)]
    rows = [_row(view) for view in views]
    print_rows(
        [asdict(view) for view in views],
        "Keys",
        json,
        table_rows=rows,
        empty="none; create one: stocktake keys create",
    )


@app.command()
def revoke(
    context: Context,
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the key; see `stocktake keys list`.")
    ],
    json: Json = False,
) -> None:
    """Revoke a key immediately and for good, and end the sessions that it started."""
    key = run_operation(context.obj, revoke_key, key_id, {})
    if json:
        print_json(key_view(key, utc_now()))
    else:
        print(f"{key.display_name} is revoked")


def _row(view: KeyView) -> dict[str, object]:
    """Return a table row that fits a terminal, with times as dates."""
    return {
        name: f"{value:%Y-%m-%d}" if isinstance(value, datetime) else value
        for name, value in asdict(view).items()
    }
