"""The command ``stocktake shapes``: judge files by the reference engine, list the shapes, and see that the shapes are sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pyoxigraph as ox
import pyshacl
import typer
from pyshacl.errors import ReportableRuntimeError
from rdflib import URIRef
from rdflib.namespace import RDF
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shapes.engines.engine import EngineError
from shapes.engines.reference import graph
from shapes.examples import examples
from shapes.result import Report, Result, Severity
from shapes.rules import rules, turtle
from shapes.validate import judge, validate
from vocab.iris import BASE

app = typer.Typer(no_args_is_help=True, help="SHACL shapes that validate records.")

_FORMATS = {
    ".ttl": ox.RdfFormat.TURTLE,
    ".nt": ox.RdfFormat.N_TRIPLES,
    ".nq": ox.RdfFormat.N_QUADS,
    ".trig": ox.RdfFormat.TRIG,
}
_COLOUR = {Severity.VIOLATION: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}

Files = Annotated[list[Path] | None, typer.Argument(help="Turtle, N-Triples, N-Quads or TriG files; none: the shapes themselves.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Base = Annotated[str, typer.Option("--base", envvar="STOCKTAKE_BASE", help="Base of the IRIs.")]


@app.command()
def check(
    files: Files = None,
    as_json: Json = False,
    base: Base = BASE,
) -> None:
    """Validate RDF files, or (without files) the shapes themselves and their examples.

    Exit 0: nothing withholds; 1: something does; 2: a file is missing, of an unknown kind or malformed.
    """
    faults = [] if files else [*_unsound(base), *_unseen(base)]
    reports = [(str(file), _report(file, base)) for file in files or ()]
    if as_json:
        found = {name: [asdict(result) for result in report.results] for name, report in reports}
        typer.echo(json.dumps({"conforms": not faults and all(r.conforms for _, r in reports), "faults": faults, "files": found}, indent=2))
    else:
        _print(reports, faults, len(rules(base)))
    raise typer.Exit(int(bool(faults) or any(not report.conforms for _, report in reports)))


@app.command("list")
def list_(as_json: Json = False, base: Base = BASE) -> None:
    """List the shapes: rule, severity and how to fix a violation."""
    found = list(rules(base).values())
    if as_json:
        typer.echo(json.dumps([asdict(rule) for rule in found], indent=2))
        return
    table = Table("Shape", "Severity", "Rule", "How to fix")
    for rule in found:
        table.add_row(rule.name, f"[{_COLOUR[rule.severity]}]{rule.severity}[/]", escape(rule.message), escape(rule.cure))
    Console().print(table)


def _report(file: Path, base: str) -> Report:
    kind = _FORMATS.get(file.suffix)
    if kind is None:
        raise typer.BadParameter(f"{file}: unknown kind; give one of {', '.join(_FORMATS)}")
    try:
        quads = ox.parse(file.read_bytes(), format=kind, base_iri=base)
        return validate((str(quad.triple) for quad in quads), base=base, name="reference")
    except (OSError, SyntaxError, EngineError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error


def _unsound(base: str) -> Iterator[str]:
    """Hold our shapes against SHACL's shapes for shapes (https://www.w3.org/TR/shacl/#shacl-shacl)."""
    shapes = graph(turtle(base), ox.RdfFormat.TURTLE, base)
    shapes.set((URIRef(f"{base}shapes#areas"), RDF.rest, RDF.nil))  # a list of 282 is as sound as one of one, and takes ten seconds
    try:
        pyshacl.validate(graph("", ox.RdfFormat.TURTLE), shacl_graph=shapes, meta_shacl=True)
    except ReportableRuntimeError as error:
        yield f"the shapes are not sound: {error}"


def _unseen(base: str) -> Iterator[str]:
    """Judge each shape's good and bad example."""
    every = list(examples(base))
    for example, results in zip(every, judge([one.statements for one in every], base=base, name="reference", size=100), strict=True):
        failed = any(result.shape == example.shape for result in results)
        if failed == example.good:
            yield f"{example.shape}: its {'good example fails' if example.good else 'bad example passes'}"


def _print(reports: list[tuple[str, Report]], faults: list[str], count: int) -> None:
    console = Console()
    for name, report in reports:
        table = Table("Node", "Severity", "Says", "Value", title=escape(name))
        for result in report.results:
            table.add_row(*_row(result))
        console.print(table if report.results else f"{escape(name)}: nothing to remark")
    for fault in faults:
        console.print(f"[red]{escape(fault)}[/]")
    if not reports and not faults:
        console.print(f"{count} shapes are sound; each passes its good example and fails its bad one")


def _row(result: Result) -> tuple[str, str, str, str]:
    colour = _COLOUR[result.severity]
    return escape(result.focus), f"[{colour}]{result.severity}[/]", escape(result.message), escape(result.value or "")
