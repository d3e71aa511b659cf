"""Define ``stocktake vocabulary``: check the Turtle files of the vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vocab.check import check_files
from vocab.iris import BASE
from vocab.scheme_summary import summaries, unverified_notes
from vocab.schemes import read_files

app = typer.Typer(no_args_is_help=True, help="The vocabulary: ontology, concept schemes and crosswalks.")

Files = Annotated[list[Path] | None, typer.Argument(help="Turtle files to check with the vocabulary; none: the vocabulary itself.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object for each problem.")]
NotesAsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object for each note.")]
SchemesAsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object for each scheme.")]
Base = Annotated[str, typer.Option("--base", envvar="STOCKTAKE_BASE", help="Base of the IRIs.")]


@app.callback()
def vocabulary() -> None:
    """Check the vocabulary, and write releases of it."""


@app.command()
def check(files: Files = None, as_json: Json = False, base: Base = BASE) -> None:
    """Check Turtle files of the vocabulary, FILES beside the published ones.

    A file of the same name replaces the published one. Exit 0: no problem; 1: problems; 2: a file cannot be read.
    """
    contents = dict(read_files())
    for file in files or ():
        try:
            contents[file.name] = file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from error
    names = {file.name for file in files or ()}
    problems = [problem for problem in check_files(contents, base) if not names or problem.file in names]
    if as_json:
        typer.echo(json.dumps([problem._asdict() for problem in problems], ensure_ascii=False, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        checked = len(names) or len(contents)
        typer.echo(f"{len(problems)} problem{'' if len(problems) == 1 else 's'} in {checked} file{'' if checked == 1 else 's'}")
    raise typer.Exit(int(bool(problems)))


@app.command()
def summary(as_json: SchemesAsJson = False, base: Base = BASE) -> None:
    """Count the concepts of each scheme: complete in which languages, with a source, unverified.

    The last rows count the terms of the ontologies.
    """
    rows = list(summaries(base))
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    head = ("scheme", "concepts", "labels complete", "definitions complete", "sourced", "unverified")
    table = [head]
    for row in rows:
        counts = str(row.sourced), str(row.unverified)
        table.append((row.name, str(row.concepts), " ".join(row.languages), " ".join(row.defined), *counts))
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command()
def unverified(as_json: NotesAsJson = False, base: Base = BASE) -> None:
    """List what is unverified: each note that says so, with the scheme, concept or term that it is about."""
    notes = list(unverified_notes(base))
    if as_json:
        typer.echo(json.dumps([note._asdict() for note in notes], ensure_ascii=False, indent=2))
        return
    for note in notes:
        typer.echo(f"{note.name}: {note.subject}: {note.note}")
