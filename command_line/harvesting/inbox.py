"""Define the commands `inbox list`, `offer`, `announce` and `undo`."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from command_line.console import Json
from command_line.harvesting.output import open_ledger, print_rows
from command_line.settings import Context, Settings
from harvesters.errors import DeliveryError
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.notifications import coar
from harvesters.notifications.coar import NotificationKind
from vocab.iris import Iris, is_web

app = typer.Typer(
    no_args_is_help=True, help="Notifications between installations: list, offer, announce, undo."
)
_Submission = Annotated[
    str, typer.Argument(metavar="SUBMISSION", help="Id of an accepted submission.")
]
_Inbox = Annotated[
    str, typer.Argument(metavar="INBOX", help="Address of the inbox of another installation.")
]


@contextmanager
def _open_sender(settings: Settings) -> Iterator[Ledger]:
    if not settings.public_url:
        raise DeliveryError(
            "set STOCKTAKE_PUBLIC_URL: other installations answer to the inbox there"
        )
    with open_ledger(settings) as ledger:
        yield ledger


def described(ledger: Ledger, base: str, id: str) -> dict[str, Any]:
    """Return an accepted submission as the object of a notification. Raises DeliveryError."""
    offered = submissions.find(ledger, id)
    if offered is None or offered.published is None:
        raise DeliveryError(f"there is no accepted submission {id}")
    text = json_text.dumps(dict(offered.published), ensure_ascii=False)
    about = Iris(base).thing(str(offered.published["type"]).lower(), "submissions", id)
    return {
        "id": about,
        "type": ["Page", "sorg:CreativeWork"],
        "mediaType": "application/json",
        "content": text,
    }


def _send(ctx: Context, submission: str, inbox: str, kind: NotificationKind) -> None:
    if not is_web(inbox):
        raise DeliveryError(f"{inbox} is not a web address")
    with _open_sender(ctx.obj) as ledger:
        about = described(ledger, ctx.obj.base, submission)
        notification = coar.send(
            ledger,
            ctx.obj.public_url,
            inbox,
            kind,
            about,
            datetime.now(UTC),
            submission=submission,
        )
    typer.echo(notification.id)


@app.command()
def offer(ctx: Context, submission: _Submission, inbox: _Inbox) -> None:
    """Offer an accepted submission to another installation, and print the id of the offer. The
    schedule's process sends it.
    """
    _send(ctx, submission, inbox, NotificationKind.OFFER)


@app.command()
def announce(ctx: Context, submission: _Submission, inbox: _Inbox) -> None:
    """Announce an accepted submission to another installation, which need not answer."""
    _send(ctx, submission, inbox, NotificationKind.ANNOUNCE)


@app.command()
def undo(
    ctx: Context,
    id: Annotated[
        str, typer.Argument(metavar="OFFER", help="Id of an offer, as `inbox list` shows it.")
    ],
) -> None:
    """Withdraw an offer: the other installation withdraws the submission."""
    with _open_sender(ctx.obj) as ledger:
        offer = coar.find_notification(ledger, id=id, sent=True, kind=NotificationKind.OFFER.value)
        if offer is None:
            raise DeliveryError(f"there is no offer {id}; `stocktake inbox list` shows them")
        coar.send(
            ledger,
            ctx.obj.public_url,
            offer.inbox,
            NotificationKind.UNDO,
            {"id": offer.id, "type": "Offer"},
            datetime.now(UTC),
        )
        coar.update_notification(ledger, offer.id, answer=NotificationKind.UNDO.value)
    typer.echo(f"{id}: undone")


@app.command("list")
def list_notifications(ctx: Context, json: Json = False) -> None:
    """List what was received and sent, the newest first, with the last answer to each offer."""
    with open_ledger(ctx.obj) as ledger:
        rows: list[dict[str, str]] = [
            {
                "id": item.id,
                "direction": "sent" if item.sent else "received",
                "kind": item.kind,
                "inbox": item.inbox,
                "object": item.object,
                "submission": item.submission or "",
                "answer": item.answer or "",
                "time": item.created.isoformat(),
            }
            for item in coar.notifications(ledger)
        ]
    table = [
        {
            "time": f"{datetime.fromisoformat(row['time']):%Y-%m-%d %H:%M}",
            "kind": f"{row['kind']} {row['direction']}",
            "inbox": row["inbox"],
            "answer": row["answer"],
            "id": row["id"],
        }
        for row in rows
    ]
    print_rows(rows, "Notifications", json, table_rows=table, empty="there is no notification")
