"""Define the command `sources forget`."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from command_line.console import Json, print_lines
from command_line.harvesting.output import current_user, print_runs
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Context
from harvesters.inspection.trace import ExplainError, parse_iri
from harvesters.ledger.models import Run
from harvesters.runs import operations, run_report

app = typer.Typer()


@app.command()
def forget(
    ctx: Context,
    iri: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="IRI of the record or its thing, the path of its page, or SOURCE/KEY.",
        ),
    ],
    json: Json = False,
) -> None:
    """Plan to remove one record for good; after the approval, run it again: it erases the record,
    and lists where it remains.
    """
    source_name, key = _parse_key(iri, ctx.obj.base)
    source = load_source(ctx.obj, source_name)
    with harvest_context(ctx.obj) as context:
        by, given = current_user(), operations.forget.input()
        result = operations.forget.perform(context, (source, key), by, given)
    if isinstance(result, Run):
        print_runs([run_report.run_row(result)], operations.forget.done, json)
        if not json:
            print_lines(f"after the approval: stocktake sources forget {iri}")
    elif json:
        print(orjson.dumps(result).decode())
    else:
        print_lines(
            *(
                f"{title}: {', '.join(map(str, values)) or 'none'}"
                for title, values in [
                    ("erased in the archive", result.erased),
                    ("remains in journal entries, which are append-only", result.entries),
                    ("remains in releases", result.releases),
                    (
                        "may remain in older archive files, until `stocktake archive prune` deletes them",
                        result.files,
                    ),
                ]
            ),
            "remains in mirrors, backups and downloads made before; each mirror removes it from its pages with the next entry",
        )


def _parse_key(text: str, base: str) -> tuple[str, str]:
    """Return the source and key of a record: by an IRI, the path of a page, or SOURCE/KEY."""
    try:
        return parse_iri(text, base)
    except ExplainError as error:
        source, _, key = text.partition("/")
        if not key or ":" in source:
            raise typer.BadParameter(str(error)) from error
        return source, key
