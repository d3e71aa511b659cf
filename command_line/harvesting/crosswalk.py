"""Define ``stocktake crosswalk gaps``: which words of registries no crosswalk translates."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import shorten
from typing import Annotated

import typer

from command_line.console import Json, fail, print_json, print_lines
from command_line.harvesting.output import open_existing, print_rows
from command_line.settings import Context
from harvesters.inspection.curation import find_gaps
from harvesters.source import read_word_table, word_table
from vocab.iris import Iris

app = typer.Typer()

SourceName = Annotated[
    str | None,
    typer.Argument(metavar="[SOURCE]", help="Only words of this source (default: all sources)."),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Number of words.")]


@app.command()
def gaps(ctx: Context, source: SourceName = None, limit: Limit = 20, as_json: Json = False) -> None:
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
    if as_json:
        print_json([{"count": gap.count, **asdict(gap)} for gap in gaps])
        return
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
    print_rows(rows, "Words that no crosswalk translates", json=False)
    if gaps:
        print_lines("To translate a word: stocktake crosswalk add SOURCE WORD CONCEPT")
