"""Define the command `sources links`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer

from command_line.console import Json
from command_line.harvesting.output import print_rows
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Context
from harvesters.ledger.graphs import link_history, links
from harvesters.ledger.models import LinkEvent, LinkState, RecordLink

app = typer.Typer()
_CHECKS = "harvesters.runs.upkeep"  # imported late, since it imports most libraries


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
        if check:
            checks = import_module(_CHECKS)
            checks.check_source(context, source, checks.LinkProgress(), lambda: True)
        rows = [
            _link_row(link, link_history(context.ledger, name, link.url))
            for link in links(context.ledger, name, state)
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
