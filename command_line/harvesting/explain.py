"""Define the commands `explain`, `sources report` and `sources forget`."""

from __future__ import annotations

import sys
from typing import Annotated

import orjson
import typer

from command_line.console import Json, fail, print_json, print_lines
from command_line.harvesting.output import current_user, open_existing, print_runs
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Context, Settings
from harvesters.inspection.source_report import report_source
from harvesters.inspection.trace import (
    WRITERS,
    ExplainError,
    check_property,
    explain,
    parse_iri,
    read_record,
)
from harvesters.ledger.models import Run
from harvesters.pipeline.processes import call_bounded
from harvesters.runs import operations, run_report
from journal.journal import Journal

app = typer.Typer()


@app.command("explain")
def explain_record(
    ctx: Context,
    iri: Annotated[
        str, typer.Argument(help="IRI of a record, of a thing, or the path of its page.")
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="[PROPERTY]", help="End of a property's IRI, such as title; all by default."
        ),
    ] = "",
    output: Annotated[
        str, typer.Option("--format", help=f"Format: {', '.join(WRITERS)}.")
    ] = "text",
) -> None:
    """Explain the statements of a record: run, request, archived bytes, field and mapping of each,
    or that Stocktake added it.

    Exit code 1 if there is no such record here, or it has no such property.
    """
    settings: Settings = ctx.obj
    if output not in WRITERS:
        raise typer.BadParameter(f"unknown format {output!r}; known are {', '.join(WRITERS)}")
    source_name, key = parse_iri(iri, settings.base)
    with open_existing(settings) as ledger:
        described = read_record(ledger, source_name, key)
    check_property(described, name)
    source = load_source(settings, described.source)
    store = Journal(settings.data / "journal").store
    explanation = call_bounded(
        explain,
        described,
        source,
        settings.base,
        settings.data / "archive",
        settings.shapes_engine,
        store,
        name,
    )
    sys.stdout.buffer.write(WRITERS[output](explanation, settings.base))
    sys.stdout.flush()


@app.command()
def report(ctx: Context, name: Annotated[str, typer.Argument(help="The source.")]) -> None:
    """Report, as JSON, what the newest run of a source withheld and fixed, by rule and the
    publisher's own field.

    Quality warnings of published records are at /source/NAME/report. Exit code 1 if there was no
    run, or if there is no ledger, as on a mirror.
    """
    settings = ctx.obj
    with open_existing(settings) as ledger:
        result = report_source(
            load_source(settings, name),
            ledger,
            Journal(settings.data / "journal"),
            settings.base,
            settings.data / "archive",
            settings.shapes_engine,
        )
    if result is None:
        fail(f"{name}: there is no run to report on; harvest it first")
    print_json(result, is_indented=True)


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
