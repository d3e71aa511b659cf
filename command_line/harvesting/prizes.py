"""Define the commands `prizes add`, `list`, `show`, `expert` and `stage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json
from command_line.harvesting.output import current_user, open_ledger, print_rows
from command_line.settings import Context
from harvesters.errors import PrizeError
from harvesters.ledger import operators, prizes
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import AuditEntry
from harvesters.ledger.participation import Edition, Stage
from harvesters.participation import contest
from harvesters.participation.contest import read_edition
from harvesters.site import utc_now
from vocab.addresses import is_mail_address

app = typer.Typer(
    no_args_is_help=True, help="Contests for prizes: editions, experts, nominations and results."
)
_Edition = Annotated[
    str, typer.Argument(metavar="EDITION", help="Id of an edition, the stem of its file.")
]


def _edition(ledger: Ledger, id: str) -> Edition:
    if (edition := prizes.find_edition(ledger, id)) is None:
        known = ", ".join(item.id for item in prizes.editions(ledger)) or "none"
        raise PrizeError(
            f"there is no edition {id}; known are {known}; `stocktake prizes add FILE` adds one"
        )
    return edition


def _record(ledger: Ledger, action: str, note: str) -> None:
    operators.record_audit_entry(
        ledger, AuditEntry(utc_now(), current_user(), action, prizes.SOURCE, note=note)
    )


@app.command()
def add(
    ctx: Context, file: Annotated[Path, typer.Argument(help="TOML file of an edition.")]
) -> None:
    """Add an edition, or replace it: days, categories, criteria and special prizes."""
    edition = read_edition(file)
    with open_ledger(ctx.obj) as ledger:
        prizes.put_edition(ledger, edition)
        _record(ledger, "prize edition added", edition.id)
    typer.echo(
        f"edition {edition.id}: {len(edition.categories)} categories, {edition.opens} to {edition.results}"
    )


@app.command("list")
def list_editions(ctx: Context, json: Json = False) -> None:
    """List the editions with their days and numbers of nominations."""
    with open_ledger(ctx.obj) as ledger:
        rows = [
            {
                "edition": item.id,
                **{name: f"{day}" for name, day in item.days().items()},
                "nominations": len(prizes.nominations(ledger, item.id))
                if item.source is None
                else ledger.count_published(item.source),
            }
            for item in prizes.editions(ledger)
        ]
    print_rows(rows, "Editions of the prizes", json, empty="there is no edition")


@app.command()
def show(ctx: Context, edition: _Edition, json: Json = False) -> None:
    """List the nominations of an edition by category, the best score first."""
    with open_ledger(ctx.obj) as ledger:
        ranked = contest.rank(ledger, _edition(ledger, edition))
    rows = [
        {
            "nomination": row.nomination.id,
            "category": row.nomination.category,
            "stage": row.nomination.stage.value,
            "special": row.nomination.special or "",
            "score": None if row.score is None else round(row.score, 2),
            "reviews": row.reviews,
            "conflicts": row.conflicts,
            "votes": row.votes,
            "initiative": row.nomination.thing,
        }
        for row in ranked
    ]
    print_rows(rows, f"Nominations of {edition}", json, empty="there is no nomination")


@app.command()
def expert(
    ctx: Context,
    edition: _Edition,
    mail: Annotated[str, typer.Argument(metavar="MAIL", help="Mail address of the expert.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the expert; reviews stay.")
    ] = False,
) -> None:
    """Let a person score the nominations of an edition, after confirming this address at
    /submit/mine.
    """
    address = mail.strip().lower()
    if not is_mail_address(address):
        raise PrizeError(f"{mail} is not a mail address")
    with open_ledger(ctx.obj) as ledger:
        selected = _edition(ledger, edition)
        (prizes.remove_expert if remove else prizes.add_expert)(ledger, selected.id, address)
        _record(ledger, "prize expert removed" if remove else "prize expert added", selected.id)
    typer.echo(f"edition {edition}: expert {'removed' if remove else 'added'}")


@app.command()
def stage(
    ctx: Context,
    edition: _Edition,
    nomination: Annotated[
        str,
        typer.Argument(metavar="NOMINATION", help="Id of a nomination, as `prizes show` lists it."),
    ],
    to: Annotated[
        Stage, typer.Argument(metavar="STAGE", help="submitted, nominated, champion or winner.")
    ],
    special: Annotated[
        str | None, typer.Option(help="Code of a special prize of the edition.")
    ] = None,
) -> None:
    """Set the stage of a nomination. It is public from the edition's day on, after the next run of
    the source `prizes`.
    """
    with open_ledger(ctx.obj) as ledger:
        decided = contest.set_stage(
            ledger, _edition(ledger, edition), nomination, to, special, utc_now(), ctx.obj.base
        )
        _record(ledger, "prize stage decided", f"{edition} {nomination}: {to.value}")
    typer.echo(f"{decided.id} {decided.category}: {decided.stage.value}")
