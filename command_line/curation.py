"""Define the commands topics, crosswalk gaps, inbox and prizes."""

from __future__ import annotations

import json as json_text
import sys
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
from command_line.workspace import load_source, open_existing, open_ledger
from harvesters.admin.actions import find_prize_edition, put_edition
from harvesters.errors import DeliveryError, HarvestError, require
from harvesters.inspection.curation import find_gaps, undecided
from harvesters.ledger import prizes as editions
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.mappings import classifier
from harvesters.mappings.classifier import classify
from harvesters.mappings.topics import find_mentions
from harvesters.notifications import coar
from harvesters.notifications.coar import NotificationKind
from harvesters.participation import contest
from harvesters.runs.operations import decide_topic
from harvesters.source import read_word_table, word_table
from vocab.curated import CONFIRMED, REFUSED, short_name
from vocab.iris import Iris, is_web

_SUGGESTED = "Suggested topics"

topics = typer.Typer(
    no_args_is_help=True, help="Goals, targets and action lines suggested from texts."
)

SourceName = Annotated[str, typer.Argument(help="Name of the source whose record it is.")]
RecordKey = Annotated[str, typer.Argument(metavar="RECORD", help="Its identifier at the source.")]
Concept = Annotated[str, typer.Argument(help="sdg:4, sdg:4.4, action-line:C7-ehea, or an IRI.")]
Comment = Annotated[str, typer.Option(help="Why, for those who look later.")]


@topics.command()
def suggest(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    language: Annotated[str, typer.Option(help="Its language, such as en.")] = "en",
) -> None:
    """List what is suggested for a text, with confidence, method and words, or why nothing is.

    Exit 0: listed; 1: the model is not installed.
    """
    content = sys.stdin.read() if text == "-" else text
    rows = [
        _row(mention.concept, mention.confidence, "mention", mention.words)
        for mention in find_mentions(content, language)
    ]
    try:
        claims, reason = classify(content, language)
    except HarvestError as error:
        print_rows(rows, _SUGGESTED, json=False)
        fail(str(error))
    rows += [
        _row(claim.concept, claim.confidence, f"{claim.method} {claim.method_version}", claim.word)
        for claim in claims
    ]
    print_rows(rows, _SUGGESTED, json=False)
    if reason:
        print_lines(f"{classifier.NAME}: {reason}")


def _row(
    concept: str, confidence: float | None, method: str, words: str | None
) -> dict[str, object]:
    rounded = None if confidence is None else f"{confidence:.2f}"
    return {"concept": short_name(concept), "confidence": rounded, "method": method, "words": words}


@topics.command()
def queue(
    ctx: Context,
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of suggestions.")] = 20,
    as_json: Json = False,
) -> None:
    """List the suggestions of a source's published records that nobody has decided, the surest
    first.

    Exit 0: listed; 1: no ledger; 2: no such source.
    """
    settings = ctx.obj
    load_source(settings, source)
    with open_existing(settings) as ledger:
        waiting = undecided(ledger, settings.sources, source, Iris(settings.base))
    rows = [
        {"record": item.key[:80]}
        | _row(
            short_name(item.concept, settings.base), item.confidence, item.method, item.words[:200]
        )
        for item in waiting[:limit]
    ]
    print_rows(waiting[:limit], f"{len(waiting):,} undecided", as_json, table_rows=rows)
    if waiting and not as_json:
        print_lines("To decide: stocktake topics confirm SOURCE RECORD CONCEPT, or refuse")


@topics.command()
def confirm(
    ctx: Context,
    source: SourceName,
    record: RecordKey,
    concept: Concept,
    comment: Comment = "",
) -> None:
    """Confirm a topic of a record: it becomes a curator's statement with who and when; `remap`
    applies it with its plan.

    The decision is a line in `crosswalks/SOURCE.topics.tsv` beside the source definitions. An
    earlier one about the same is replaced. Exit 0: stored; 1: unknown concept; 2: no such
    source, or a line of its table is wrong.
    """
    _decide(ctx.obj, source, record, concept, CONFIRMED, comment)


@topics.command()
def refuse(
    ctx: Context,
    source: SourceName,
    record: RecordKey,
    concept: Concept,
    comment: Comment = "",
) -> None:
    """Refuse a suggested topic of a record: it is not suggested again; `remap` applies it with its
    plan. Exit codes are those of `topics confirm`.
    """
    _decide(ctx.obj, source, record, concept, REFUSED, comment)


def _decide(
    settings: Settings, source: str, record: str, concept: str, decision: str, comment: str
) -> None:
    values = {"record": record, "concept": concept, "decision": decision, "comment": comment}
    run_operation(settings, decide_topic, source, values)


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
    print_rows(listed, "Words that no crosswalk translates", as_json, table_rows=rows)
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


@prizes.command("list")
def list_editions(ctx: Context, json: Json = False) -> None:
    """List the editions with their days and numbers of nominations."""
    with open_ledger(ctx.obj) as ledger:
        rows = [
            {
                "edition": item.id,
                **{name: f"{day}" for name, day in item.days().items()},
                "nominations": len(editions.nominations(ledger, edition=item.id))
                if item.source is None
                else ledger.count_published(item.source),
            }
            for item in editions.editions(ledger)
        ]
    print_rows(rows, "Editions of the prizes", json, empty="there is no edition")


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
