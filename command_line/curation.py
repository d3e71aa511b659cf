"""Define the commands crosswalk gaps, inbox and prizes."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer

from command_line.console import Json, fail, print_lines, print_rows
from command_line.operations import run_operation
from command_line.settings import Context, Settings
from command_line.workspace import open_existing, open_ledger
from harvesters.admin.actions import find_prize_edition, put_edition
from harvesters.errors import DeliveryError, require
from harvesters.inspection.curation import find_gaps
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.notifications import coar
from harvesters.notifications.coar import NotificationKind
from harvesters.participation import contest
from harvesters.source import read_word_table, word_table
from vocab.iris import Iris, is_web

crosswalk = typer.Typer()


@crosswalk.command()
def gaps(
    ctx: Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]", help="Only words of this source (default: all sources)."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of words.")] = 20,
    as_json: Json = False,
) -> None:
    """List the most frequent words of published records that no crosswalk translates, with the
    nearest concepts.

    Exit 0: listed; 1: there is no such source, or no ledger.
    """
    settings = ctx.obj
    with open_existing(settings) as ledger:
        known = ledger.sources()
        if source is not None and source not in known:
            fail(
                f"{source}: no run of this source; sources with runs: {', '.join(known) or 'none'}"
            )
        chosen = known if source is None else [source]
        curated = {name: read_word_table(word_table(settings.sources, name))[0] for name in chosen}
        gaps = find_gaps(ledger, chosen, Iris(settings.base), limit, curated)
    rows = [
        {
            "records": f"{gap.count:,}",
            "word": gap.word[:80],
            "field": gap.field,
            "nearest concepts": "\n".join(
                f"{shorten(near.name, 80)} ({near.iri.rpartition('/')[2]}, {near.score:.0f})"
                for near in gap.nearest
            )
            or "none",
        }
        for gap in gaps
    ]
    listed = [{"count": gap.count, **asdict(gap)} for gap in gaps]
    print_rows(listed if as_json else rows, "Words that no crosswalk translates", as_json)
    if gaps and not as_json:
        print_lines("To translate a word: stocktake crosswalk add SOURCE WORD CONCEPT")


inbox = typer.Typer(
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
    require(is_web(inbox), DeliveryError(f"{inbox} is not a web address"))
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


@inbox.command()
def offer(ctx: Context, submission: _Submission, inbox: _Inbox) -> None:
    """Offer an accepted submission to another installation, and print the id of the offer. The
    schedule's process sends it.
    """
    _send(ctx, submission, inbox, NotificationKind.OFFER)


@inbox.command()
def announce(ctx: Context, submission: _Submission, inbox: _Inbox) -> None:
    """Announce an accepted submission to another installation, which need not answer."""
    _send(ctx, submission, inbox, NotificationKind.ANNOUNCE)


@inbox.command()
def undo(
    ctx: Context,
    id: Annotated[
        str, typer.Argument(metavar="OFFER", help="Id of an offer, as `inbox list` shows it.")
    ],
) -> None:
    """Withdraw an offer: the other installation withdraws the submission."""
    with _open_sender(ctx.obj) as ledger:
        offer = require(
            coar.find_notification(ledger, id=id, sent=True, kind=NotificationKind.OFFER.value),
            DeliveryError(f"there is no offer {id}; `stocktake inbox list` shows them"),
        )
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


@inbox.command("list")
def list_notifications(ctx: Context, json: Json = False) -> None:
    """List what was received and sent, the newest first, with the last answer to each offer."""
    with open_ledger(ctx.obj) as ledger:
        rows = [
            {
                "id": item.id,
                "direction": "sent" if item.sent else "received",
                "kind": item.kind,
                "inbox": item.inbox,
                "object": item.object,
                "submission": item.submission or "",
                "answer": item.answer or "",
                "time": item.created,
            }
            for item in coar.notifications(ledger)
        ]
    columns, empty = "time direction kind inbox answer id", "there is no notification"
    print_rows(rows, "Notifications", json, columns, empty=empty)


prizes = typer.Typer()
_Edition = Annotated[
    str, typer.Argument(metavar="EDITION", help="Id of an edition, the stem of its file.")
]


@prizes.command()
def add(
    ctx: Context,
    file: Annotated[
        Path, typer.Argument(help="TOML file of an edition.", exists=True, dir_okay=False)
    ],
) -> None:
    """Add an edition, or replace it: days, categories, criteria and special prizes."""
    values = {"edition": file.stem, "text": file.read_text(encoding="utf-8", errors="replace")}
    run_operation(ctx.obj, put_edition, "", values)


@prizes.command()
def show(ctx: Context, edition: _Edition, json: Json = False) -> None:
    """List the nominations of an edition by category, the best score first."""
    with open_ledger(ctx.obj) as ledger:
        ranked = contest.rank(ledger, find_prize_edition(ledger, edition))
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
