"""Define ``stocktake crosswalk``: which words of registries no crosswalk translates, and what a
curator chooses for them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from textwrap import shorten
from typing import Annotated

import orjson
import typer

from command_line.harvesting.output import Json, current_user, err, out, print_rows
from command_line.harvesting.terminal import load_sources
from command_line.settings import Context
from harvesters.errors import SourceDefinitionError
from harvesters.inspection.crosswalk_gaps import find_gaps
from harvesters.inspection.curated_crosswalks import add_word
from harvesters.inspection.scratch import has_ledger
from harvesters.ledger.ledger import Ledger
from harvesters.source import read_word_table, word_table
from vocab.curated_words import CuratedWord
from vocab.iris import Iris

app = typer.Typer(no_args_is_help=True, help="Words that no crosswalk translates.")

SourceName = Annotated[
    str | None,
    typer.Argument(metavar="[SOURCE]", help="Words of this source; none: of all sources."),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Number of words.")]


@app.callback()
def crosswalk() -> None:
    """Find what the crosswalks lack, and add it."""


@app.command()
def gaps(ctx: Context, source: SourceName = None, limit: Limit = 20, as_json: Json = False) -> None:
    """List the most frequent words of published records that no crosswalk translates, with the
    nearest concepts.

    Exit 0: listed; 1: there is no such source, or no ledger.
    """
    if not has_ledger(ctx.obj.ledger):
        err.print("this machine has no ledger; run a harvest first", style="red", markup=False)
        raise typer.Exit(1)
    with closing(Ledger(ctx.obj.ledger)) as ledger:
        known = ledger.sources()
        if source is not None and source not in known:
            err.print(
                f"{source}: no run of this source; sources with runs: {', '.join(known) or 'none'}",
                style="red",
                markup=False,
            )
            raise typer.Exit(1)
        chosen = known if source is None else [source]
        curated = {name: read_word_table(word_table(ctx.obj.sources, name))[0] for name in chosen}
        gaps = find_gaps(ledger, chosen, Iris(ctx.obj.base), limit, curated)
    if as_json:
        out.print_json(orjson.dumps([{"count": gap.count, **asdict(gap)} for gap in gaps]).decode())
        return
    rows = [
        {
            "records": f"{gap.count:,}",
            "word": gap.word[:80],
            "field": gap.field,
            "nearest concepts": "\n".join(
                f"{shorten(near.name, 80)} ({near.iri.rpartition('/')[2]}, {near.score:.0f}{' by meaning' if near.is_meaning else ''})"
                for near in gap.nearest
            )
            or "none",
        }
        for gap in gaps
    ]
    print_rows(rows, "Words that no crosswalk translates", json=False)
    if gaps:
        out.print("To translate a word: stocktake crosswalk add SOURCE WORD CONCEPT", markup=False)


@app.command()
def add(
    ctx: Context,
    source: Annotated[str, typer.Argument(help="Name of the source that uses the word.")],
    word: Annotated[str, typer.Argument(help="The word as the registry writes it.")],
    concept: Annotated[
        str,
        typer.Argument(
            help="sdg:4, sdg:4.4, area:404, action-line:C7-ehea, status:completed, or an IRI."
        ),
    ],
    comment: Annotated[str, typer.Option(help="The reason, for later curators.")] = "",
) -> None:
    """Choose the concept of a registry's word; `remap` applies it to the published records, with
    its plan.

    The choice is a line with author and date in `crosswalks/SOURCE.sssom.tsv` beside the source
    definitions, which you keep. An earlier choice for the word is replaced. Exit 0: stored; 1:
    unknown concept, or a line of the table is wrong; 2: no such source.
    """
    load_sources(ctx.obj, [source], report=lambda _name, _message: None)
    item = CuratedWord(word, concept, current_user(), comment=comment)
    try:
        file = add_word(ctx.obj.sources, source, item, ctx.obj.base)
    except SourceDefinitionError as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    out.print(f"{file}: {word} is {concept}", markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"See what it changes: stocktake remap {source} --dry-run", markup=False, highlight=False
    )
