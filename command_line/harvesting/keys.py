"""Define the commands `keys create`, `keys list` and `keys revoke`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from command_line.harvesting.output import Json, current_user, err, open_ledger, print_rows
from command_line.settings import Context
from harvesters.admin.schemas import KeyView, key_view
from harvesters.ledger import keys as key_store
from harvesters.ledger import operators
from harvesters.ledger.keys import Scope, parse_scope
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import AuditEntry

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
    key_scope = parse_scope(allowed)
    if key_scope is None:
        raise typer.BadParameter(
            f"--scope is {allowed!r}; use {', '.join(scope.label for scope in Scope)}"
        )
    if not key_store.is_valid_name(name):
        raise typer.BadParameter(
            f"NAME is {name!r}; use 1 to {key_store.MAX_NAME_LENGTH} letters that can be seen"
        )
    with open_ledger(context.obj) as ledger:
        key, token = key_store.create(ledger, name, key_scope, _now(), expires)
        _audit(ledger, "key created", f"{key.display_name}, {key.scope.label}")
    if json:
        print(orjson.dumps({**asdict(key_view(key, _now())), "key": token}).decode())
        return
    print(token)
    err.print(
        "Copy this key now; it will not be shown again. Store it like a password.", highlight=False
    )


@app.command("list")
def list_keys(context: Context, json: Json = False) -> None:
    """List the keys, including revoked and expired ones. The secrets are not shown."""
    with open_ledger(context.obj) as ledger:
        views = [key_view(key, _now()) for key in key_store.list_keys(ledger)]
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
    with open_ledger(context.obj) as ledger:
        key = key_store.revoke(ledger, key_id, _now())
        _audit(ledger, "key revoked", key.display_name)
    print(
        orjson.dumps(key_view(key, _now())).decode() if json else f"{key.display_name} is revoked"
    )


def _audit(ledger: Ledger, action: str, note: str) -> None:
    operators.record_audit_entry(ledger, AuditEntry(_now(), current_user(), action, note=note))


def _row(view: KeyView) -> dict[str, object]:
    """Return a table row that fits a terminal, with times as dates."""
    return {
        name: f"{value:%Y-%m-%d}" if isinstance(value, datetime) else value
        for name, value in asdict(view).items()
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
