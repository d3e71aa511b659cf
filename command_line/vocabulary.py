"""Define the commands shapes and vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pyoxigraph as ox
import pyshacl
import typer
from pyshacl.errors import ReportableRuntimeError
from rdflib import URIRef
from rdflib.namespace import RDF

from command_line.console import (
    Json,
    fail,
    make_table,
    out,
    print_json,
    print_note,
)
from harvesters.errors import require
from publisher.linked_data.jsonld import jsonld_context
from shapes.reference import graph
from shapes.rules import Severity, examples, published_turtle, rules, turtle
from shapes.validate import EngineError, Result, validate, validate_many
from vocab.check import check_files
from vocab.iris import BASE, Iris
from vocab.release import VocabularyReleaseError, render, write_release
from vocab.schemes import read_files

shapes = typer.Typer(no_args_is_help=True, help="SHACL shapes that validate records.")

_FORMATS = {
    ".ttl": ox.RdfFormat.TURTLE,
    ".nt": ox.RdfFormat.N_TRIPLES,
    ".nq": ox.RdfFormat.N_QUADS,
    ".trig": ox.RdfFormat.TRIG,
}

Base = Annotated[str, typer.Option("--base", envvar="STOCKTAKE_BASE", help="Base of the IRIs.")]


@shapes.command("check")
def check_shapes(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Turtle, N-Triples, N-Quads or TriG files; none: the shapes themselves."
        ),
    ] = None,
    as_json: Json = False,
    base: Base = BASE,
) -> None:
    """Validate FILES, or check the shapes and their examples.

    Exit 0: nothing is withheld; 1: something is; 2: a file is missing, of an unknown type or
    malformed.
    """
    problems = [] if files else [*_check_shapes(base), *_check_examples(base)]
    reports = [(str(file), _report(file, base)) for file in files or ()]
    conforms = not problems and not any(
        result.severity is Severity.VIOLATION for _, results in reports for result in results
    )
    if as_json:
        print_json(
            {"conforms": conforms, "faults": problems, "files": dict(reports)}, is_indented=True
        )
    else:
        _print(reports, problems, len(rules(base)))
    raise typer.Exit(int(not conforms))


def _report(file: Path, base: str) -> tuple[Result, ...]:
    format_ = require(
        _FORMATS.get(file.suffix),
        typer.BadParameter(f"{file}: unknown file type; use one of {', '.join(_FORMATS)}"),
    )
    try:
        quads = ox.parse(file.read_bytes(), format=format_, base_iri=base)
        return validate((str(quad.triple) for quad in quads), base=base, name="reference")
    except (OSError, SyntaxError, EngineError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error


def _check_shapes(base: str) -> Iterator[str]:
    """Validate our shapes by SHACL's shapes for shapes (https://www.w3.org/TR/shacl/#shacl-shacl)."""
    shapes = graph(turtle(base), ox.RdfFormat.TURTLE, base)
    # The list of 282 areas is cut to one: checking it takes ten seconds and finds nothing more.
    shapes.set((URIRef(f"{base}shapes#areas"), RDF.rest, RDF.nil))
    try:
        pyshacl.validate(graph("", ox.RdfFormat.TURTLE), shacl_graph=shapes, meta_shacl=True)
    except ReportableRuntimeError as error:
        yield f"the shapes are not sound: {error}"


def _check_examples(base: str) -> Iterator[str]:
    """Validate each shape's good and bad example."""
    listed = list(examples(base))
    statements = [example.statements for example in listed]
    validated = validate_many(statements, base=base, name="reference", size=100)
    for example, results in zip(listed, validated, strict=True):
        failed = any(result.shape == example.shape for result in results)
        if failed == example.good:
            yield f"{example.shape}: its {'good example fails' if example.good else 'bad example passes'}"


def _print(reports: list[tuple[str, tuple[Result, ...]]], problems: list[str], count: int) -> None:
    for name, results in reports:
        rows = [
            {
                "node": result.focus,
                "severity": result.severity,
                "message": result.message,
                "value": result.value,
            }
            for result in results
        ]
        out.print(make_table(rows, name, "no issues"))
    for problem in problems:
        print_note(problem, "red")
    if not reports and not problems:
        out.print(f"{count} shapes are sound; each passes its good example and fails its bad one")


vocabulary = typer.Typer(
    no_args_is_help=True, help="The vocabulary: ontology, concept schemes and crosswalks."
)


@vocabulary.command("check")
def check_vocabulary(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Turtle files to check with the vocabulary; none: the vocabulary itself."
        ),
    ] = None,
    as_json: Json = False,
    base: Base = BASE,
) -> None:
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


@vocabulary.command()
def release(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", file_okay=False)],
    since: Annotated[
        Path | None,
        typer.Option(
            "--since",
            help="The folder of an earlier release, to compare with.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    base: Base = BASE,
) -> None:
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
