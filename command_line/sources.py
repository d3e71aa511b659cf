"""Define the commands of sources that need no run: list, check and links."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, fail, print_rows
from command_line.settings import Context
from command_line.workspace import (
    harvest_context,
    load_source,
    load_sources,
    open_ledger,
    source_list,
)
from harvesters.errors import SourceDefinitionError
from harvesters.ledger.models import LinkEvent, LinkState, RecordLink
from harvesters.runs import run_report
from harvesters.source import read

app = typer.Typer()


@app.command("list")
def list_sources(ctx: Context, json: Json = False) -> None:
    """List sources: schedule, last run, published records and hold; with --json also the rest.
    Exit code 2 if a definition is invalid.
    """
    definitions = load_sources(ctx.obj)
    with open_ledger(ctx.obj) as ledger:
        rows = run_report.source_rows([*definitions.sources.values()], ledger, ctx.obj.data)
    print_rows(
        rows,
        "Sources",
        json,
        table_rows=source_list(rows),
        empty=f"none; add a source definition to {ctx.obj.sources}",
    )
    raise typer.Exit(2 if definitions.errors else 0)


def source_file(folder: Path, name: str) -> Path:
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
        [source_file(ctx.obj.sources, name) for name in definitions]
        if definitions
        else sorted(ctx.obj.sources.glob("*.toml"))
    )
    rows = [_check_source(file) for file in files]
    if rows or json:
        print_rows(
            rows,
            "Source definitions",
            json,
            table_rows=[
                {"source": Path(str(row["definition"])).stem, "result": row["result"]}
                for row in rows
            ],
        )
    if not rows:
        fail(f"no source definitions in {ctx.obj.sources}; set --sources or STOCKTAKE_SOURCES", 2)
    raise typer.Exit(int(any(row["result"] != "valid" for row in rows)))


def _check_source(file: Path) -> dict[str, object]:
    try:
        source, faults = read(file)
    except SourceDefinitionError as error:
        return {"definition": str(file), "result": str(error)}
    if source.protocol and source.mapping:
        processor = import_module("harvesters.pipeline.record_processor")
        faults += processor.compatibility_faults(source)
    if faults:
        return {"definition": str(file), "result": "\n".join(fault.text for fault in faults)}
    return {
        "definition": str(file),
        "result": "valid",
        "protocol": source.protocol,
        "mapping": source.mapping,
    }


@app.command("links")
def list_links(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="The source.")],
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Check the links that are due first, and publish their states."
        ),
    ] = False,
    state: Annotated[
        LinkState | None, typer.Option(help="List only the links in this state.")
    ] = None,
    json: Json = False,
) -> None:
    """List the web pages that a source's records name, with their states and earlier states."""
    source = load_source(ctx.obj, name)
    with harvest_context(ctx.obj) as context:
        upkeep = import_module("harvesters.runs.upkeep")
        if check:
            upkeep.check_source(context, source, upkeep.LinkProgress(), lambda: True)
        rows = [
            _link_row(link, upkeep.link_history(context.ledger, name, link.url))
            for link in upkeep.links(context.ledger, name, state)
        ]
    table = [
        {name: value for name, value in row.items() if name not in ("since", "history")}
        for row in rows
    ]
    print_rows(rows, "Links", json, table_rows=table, empty="no links")


def _link_row(link: RecordLink, history: Iterable[LinkEvent]) -> dict[str, object]:
    return {
        "url": link.url,
        "state": link.state.value if link.state else None,
        "since": link.since.isoformat() if link.since else None,
        "checked": link.checked.isoformat() if link.checked else None,
        "answer": link.answer,
        "failures": link.failures,
        "location": link.location,
        "history": [
            {
                "state": event.state.value,
                "time": event.time.isoformat(),
                "answer": event.answer,
                "location": event.location,
            }
            for event in history
        ],
    }
