"""Add ``stocktake vocabulary release``, which needs the shapes and the JSON-LD context beside the vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from publisher.linked_data.jsonld_context import jsonld_context
from shapes.rules import published_turtle
from vocab.change_log import render
from vocab.cli import Base, app
from vocab.iris import BASE, Iris
from vocab.release import VocabularyReleaseError, write_release

__all__ = ["app"]

Folder = Annotated[Path, typer.Argument(help="A new or empty folder.", file_okay=False)]
Since = Annotated[
    Path | None, typer.Option("--since", help="The folder of an earlier release, to compare with.", exists=True, file_okay=False)
]


@app.command()
def release(folder: Folder, since: Since = None, base: Base = BASE) -> None:
    """Write the vocabulary into FOLDER as Turtle, JSON-LD, CSV and SSSOM, with shapes, descriptions and checksums.

    With --since also the changes; a change that breaks the deprecation policy is refused. Exit 0: written; 1: refused.
    """
    extra = {
        "context.jsonld": json.dumps({"@context": jsonld_context(Iris(base))}, ensure_ascii=False, indent=2).encode(),
        "shapes.ttl": f"@base <{base}> .\n{published_turtle(base)}".encode(),
    }
    try:
        log = write_release(folder, base, since, extra)
    except VocabularyReleaseError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if since is not None:
        typer.echo(render(log, base))
    typer.echo(f"version {log.version} written to {folder}")
