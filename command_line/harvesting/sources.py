"""Define the commands `sources list`, `check`, `preview` and `report`."""

from __future__ import annotations

import resource
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, fail, print_json, print_note
from command_line.harvesting.output import print_rows
from command_line.harvesting.terminal import (
    harvest_context,
    load_sources,
    network_settings,
)
from command_line.settings import Context, Settings
from harvesters.compatibility import compatibility_faults
from harvesters.errors import SourceDefinitionError
from harvesters.runs import run_report, terminal_output
from harvesters.runs.source_preview import DEFAULT_RECORDS, PreviewResult, localize, preview_source
from harvesters.source import Source, load, parse, read
from languages.request_locale import LANGUAGES, use_language
from vocab.field_changes import field_views

app = typer.Typer()


@app.command("list")
def list_sources(ctx: Context, json: Json = False) -> None:
    """List sources: schedule, last run, published records and hold; with --json also the rest.
    Exit code 2 if a definition is invalid.
    """
    definitions = load_sources(ctx.obj)
    with harvest_context(ctx.obj) as context:
        rows = run_report.source_rows([*definitions.sources.values()], context.ledger, context.data)
    print_rows(
        rows,
        "Sources",
        json,
        table_rows=terminal_output.source_list(rows),
        empty=f"none; add a source definition to {ctx.obj.sources}",
    )
    raise typer.Exit(2 if definitions.errors else 0)


def _source_file(folder: Path, name: str) -> Path:
    """Return the file of a source definition; *name* is its path or the name of a source. Exit with
    2 if there is none.
    """
    file = folder / f"{name}.toml"
    if Path(name).is_file():
        return Path(name)
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) or "none"
        fail(f"no file and no source named {name!r}; the sources in {folder} are: {known}", 2)
    return file


@app.command("check")
def check_sources(
    ctx: Context,
    definitions: Annotated[
        list[str] | None,
        typer.Argument(help="Names or paths of source definitions (default: all)."),
    ] = None,
    json: Json = False,
) -> None:
    """Check source definitions offline. Exit code 1 if one is invalid."""
    files = (
        [_source_file(ctx.obj.sources, name) for name in definitions]
        if definitions
        else sorted(ctx.obj.sources.glob("*.toml"))
    )
    rows = [_check_source(file) for file in files]
    if rows or json:
        print_rows(
            rows, "Source definitions", json, table_rows=[_check_columns(row) for row in rows]
        )
    if not rows:
        fail(f"no source definitions in {ctx.obj.sources}; set --sources or STOCKTAKE_SOURCES", 2)
    raise typer.Exit(int(any(row["result"] != "valid" for row in rows)))


@app.command("preview")
def preview(
    ctx: Context,
    definition: Annotated[
        str,
        typer.Argument(help="Source name, path of a source definition, or - for standard input."),
    ],
    records: Annotated[
        int, typer.Option(help="Number of records to fetch.", min=1, max=1000)
    ] = DEFAULT_RECORDS,
    memory: Annotated[int, typer.Option(help="Memory limit in bytes; 0 = no limit.", min=0)] = 0,
    language: Annotated[
        str, typer.Option(help=f"Language of reasons: {', '.join(LANGUAGES)}.")
    ] = "en",
    json: Json = False,
) -> None:
    """Fetch and validate a few records of a source without saving anything. Exit code 1 on failure."""
    settings: Settings = ctx.obj
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    file = None if definition == "-" else _source_file(settings.sources, definition)
    try:
        source = load(file) if file else _read_source()
        result = preview_source(
            source,
            settings.base,
            network_settings(settings),
            engine=settings.shapes_engine,
            records=records,
        )
    except SourceDefinitionError as error:
        result = PreviewResult(error_kind="definition", error=str(error))
    with use_language(language if language in LANGUAGES else "en"):
        _print_preview(localize(result), settings.base, json)
    raise typer.Exit(int(bool(result.error)))


def _print_preview(result: PreviewResult, base: str, json: bool) -> None:
    notes = result.note_texts()
    if json:
        document = {**asdict(result), "notes": notes}
        del document["error_reason"]
        for record in document["records"]:
            del record["reasons"]  # only pages use them
            record["mapped"] = [
                {"field": field.label, "values": field.added}
                for field in field_views((), record["mapped"], base, "en", str)
            ]
        print_json(document)
        return
    print_rows(terminal_output.preview_list(result, base), "Records", json)
    for note in notes:
        print_note(note, "yellow")
    if result.error:
        print_note(result.error, "red")


def _read_source() -> Source:
    """Read a source definition from standard input; the source is named registry."""
    try:
        return parse("registry", tomllib.loads(sys.stdin.read()), "source definition")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceDefinitionError(f"source definition: invalid TOML: {error}") from error


def _check_source(file: Path) -> dict[str, object]:
    try:
        source, faults = read(file)
    except SourceDefinitionError as error:
        return {"definition": str(file), "result": str(error)}
    if source.protocol and source.mapping:
        faults += compatibility_faults(source)
    if faults:
        return {"definition": str(file), "result": "\n".join(fault.text for fault in faults)}
    return {
        "definition": str(file),
        "result": "valid",
        "protocol": source.protocol,
        "mapping": source.mapping,
    }


def _check_columns(row: dict[str, object]) -> dict[str, object]:
    return {"source": Path(str(row["definition"])).stem, "result": row["result"]}
