"""Define ``stocktake topics``: suggest topics of a text, and decide about suggestions."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from command_line.console import Json, fail, print_json, print_lines
from command_line.harvesting.operations import run_operation
from command_line.harvesting.output import open_existing, print_rows
from command_line.harvesting.terminal import load_source
from command_line.settings import Context, Settings
from harvesters.errors import HarvestError
from harvesters.inspection.curation import undecided
from harvesters.mappings.topics import classifier
from harvesters.mappings.topics.classifier import classify
from harvesters.mappings.topics.suggest import find_mentions
from harvesters.runs.operations import decide_topic
from vocab.curated_topics import CONFIRMED, REFUSED
from vocab.curated_words import short_name
from vocab.iris import Iris

_SUGGESTED = "Suggested topics"

app = typer.Typer(
    no_args_is_help=True, help="Goals, targets and action lines suggested from texts."
)

SourceName = Annotated[str, typer.Argument(help="Name of the source whose record it is.")]
RecordKey = Annotated[str, typer.Argument(metavar="RECORD", help="Its identifier at the source.")]
Concept = Annotated[str, typer.Argument(help="sdg:4, sdg:4.4, action-line:C7-ehea, or an IRI.")]
Comment = Annotated[str, typer.Option(help="Why, for those who look later.")]


@app.callback()
def topics() -> None:
    """Suggest topics, and decide what is suggested."""


@app.command()
def suggest(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    language: Annotated[str, typer.Option(help="Its language, such as en.")] = "en",
) -> None:
    """List what is suggested for a text, with confidence, method and words, or why nothing is.

    Exit 0: listed; 1: the model is not installed, or a file of it is missing or damaged.
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


@app.command()
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
    if as_json:
        print_json(waiting[:limit])
        return
    rows = [
        {"record": item.key[:80]}
        | _row(
            short_name(item.concept, settings.base), item.confidence, item.method, item.words[:200]
        )
        for item in waiting[:limit]
    ]
    print_rows(rows, f"{len(waiting):,} undecided", json=False)
    if waiting:
        print_lines("To decide: stocktake topics confirm SOURCE RECORD CONCEPT, or refuse")


@app.command()
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


@app.command()
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
