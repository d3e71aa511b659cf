"""Define the command that explains a statement."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from command_line.harvesting.output import open_existing
from command_line.harvesting.terminal import load_source
from command_line.settings import Context, Settings
from harvesters.inspection.trace import (
    Described,
    check_property,
    explain,
    parse_iri,
    read_record,
)
from harvesters.inspection.trace_output import WRITERS
from harvesters.pipeline.bounded_call import call_bounded
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
    or that it is ours.

    Exit code 1 if there is no such record here, or it has no such property.
    """
    settings: Settings = ctx.obj
    if output not in WRITERS:
        raise typer.BadParameter(f"unknown format {output!r}; known are {', '.join(WRITERS)}")
    described = _read_described(settings, iri)
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


def _read_described(settings: Settings, iri: str) -> Described:
    """Return what is published of the record. Raises ExplainError if this machine cannot know."""
    source_name, key = parse_iri(iri, settings.base)
    with open_existing(settings) as ledger:
        return read_record(ledger, source_name, key)
