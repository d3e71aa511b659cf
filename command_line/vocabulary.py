"""Define ``stocktake vocabulary``: check the vocabulary's Turtle files, and write its releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, fail, print_json
from publisher.linked_data.jsonld import jsonld_context
from shapes.rules import published_turtle
from vocab.check import check_files, summaries, unverified_notes
from vocab.iris import BASE, Iris
from vocab.release import VocabularyReleaseError, render, write_release
from vocab.schemes import read_files

app = typer.Typer(
    no_args_is_help=True, help="The vocabulary: ontology, concept schemes and crosswalks."
)

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Turtle files to check with the vocabulary; none: the vocabulary itself."),
]
Base = Annotated[str, typer.Option("--base", envvar="STOCKTAKE_BASE", help="Base of the IRIs.")]
Folder = Annotated[Path, typer.Argument(help="A new or empty folder.", file_okay=False)]
Since = Annotated[
    Path | None,
    typer.Option(
        "--since",
        help="The folder of an earlier release, to compare with.",
        exists=True,
        file_okay=False,
    ),
]


@app.command()
def check(files: Files = None, as_json: Json = False, base: Base = BASE) -> None:
    """Check Turtle files of the vocabulary, FILES beside the published ones.

    A file of the same name replaces the published one. Exit 0: no problem; 1: problems; 2: a file
    cannot be read.
    """
    contents = dict(read_files())
    for file in files or ():
        try:
            contents[file.name] = file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from error
    names = {file.name for file in files or ()}
    problems = [
        problem for problem in check_files(contents, base) if not names or problem.file in names
    ]
    if as_json:
        print_json([problem._asdict() for problem in problems], is_indented=True)
    else:
        for problem in problems:
            typer.echo(str(problem))
        checked = len(names) or len(contents)
        typer.echo(
            f"{len(problems)} problem{'' if len(problems) == 1 else 's'} in {checked} file{'' if checked == 1 else 's'}"
        )
    raise typer.Exit(int(bool(problems)))


@app.command()
def summary(as_json: Json = False, base: Base = BASE) -> None:
    """Count the concepts of each scheme: complete in which languages, with a source, ours,
    unverified.

    The last rows count the terms of the ontologies.
    """
    rows = list(summaries(base))
    if as_json:
        print_json([row._asdict() for row in rows], is_indented=True)
        return
    names = (
        "scheme",
        "concepts",
        "labels complete",
        "definitions complete",
        "sourced",
        "ours",
        "unverified",
    )
    table = [names] + [
        (
            row.name,
            row.concepts,
            " ".join(row.languages),
            " ".join(row.defined),
            row.sourced,
            row.ours,
            row.unverified,
        )
        for row in rows
    ]
    widths = [max(len(str(cell)) for cell in column) for column in zip(*table, strict=True)]
    for line in table:
        cells = (str(cell).ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


@app.command()
def unverified(as_json: Json = False, base: Base = BASE) -> None:
    """List what is unverified: each note that says so, with the scheme, concept or term that it is
    about.
    """
    notes = list(unverified_notes(base))
    if as_json:
        print_json([note._asdict() for note in notes], is_indented=True)
        return
    for note in notes:
        typer.echo(f"{note.name}: {note.subject}: {note.note}")


@app.command()
def release(folder: Folder, since: Since = None, base: Base = BASE) -> None:
    """Write the vocabulary into FOLDER as Turtle, JSON-LD, CSV and SSSOM, with shapes, descriptions
    and checksums.

    With --since also the changes; a change that breaks the deprecation policy is refused. Exit 0:
    written; 1: refused.
    """
    extra = {
        "context.jsonld": json.dumps(
            {"@context": jsonld_context(Iris(base))}, ensure_ascii=False, indent=2
        ).encode(),
        "shapes.ttl": f"@base <{base}> .\n{published_turtle(base)}".encode(),
    }
    try:
        log = write_release(folder, base, since, extra)
    except VocabularyReleaseError as error:
        fail(str(error))
    if since is not None:
        typer.echo(render(log, base))
    typer.echo(f"version {log.version} written to {folder}")
