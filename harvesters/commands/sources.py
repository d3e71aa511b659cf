"""Sources at the terminal: list, check, hold, release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harvesters.commands.terminal import Json, Settings, cards_of, chosen, err, me, means_of, show
from harvesters.errors import CardError
from harvesters.pairs import pair
from harvesters.runs import decide, report
from harvesters.runs.status import tell as tell_status
from harvesters.source import load

app = typer.Typer(no_args_is_help=True, help="The cards of the registries.")
_Name = Annotated[str, typer.Argument(help="The source.")]


@app.command("list")
def list_sources(context: typer.Context, json: Json = False) -> None:
    """List the registries: protocol, mapping, schedule, how the last run ended, and who holds it."""
    settings: Settings = context.obj
    with means_of(settings) as means:
        rows = report.sources(cards_of(settings), means.ledger)
    show(rows, "Sources", json)


@app.command("check")
def check_sources(
    context: typer.Context,
    cards: Annotated[list[Path] | None, typer.Argument(help="Cards to check; all of the folder where none is named.")] = None,
    json: Json = False,
) -> None:
    """Check cards without asking any registry; 1 where one is wrong."""
    settings: Settings = context.obj
    rows = [_checked(card) for card in cards or sorted(settings.sources.glob("*.toml"))]
    show(rows, "Cards", json)
    if not rows:
        err.print(f"no cards in {settings.sources}; set --sources or STOCKTAKE_SOURCES to a folder that has some")
        raise typer.Exit(2)
    raise typer.Exit(int(any(row["verdict"] != "good" for row in rows)))


@app.command()
def hold(context: typer.Context, name: _Name, reason: Annotated[str, typer.Option(help="Why, for those who find it.")] = "") -> None:
    """Hold a source: its next plans wait for a person, whatever they bring."""
    settings: Settings = context.obj
    (source,) = chosen(cards_of(settings), [name])
    with means_of(settings) as means:
        decide.hold(means, source.name, by=me(), reason=reason)
        tell_status(means)
    err.print(f"{name} is on hold; `stocktake sources release {name}` ends it", markup=False)


@app.command()
def release(context: typer.Context, name: _Name) -> None:
    """Release a source that is on hold; a plan that waits goes on waiting."""
    settings: Settings = context.obj
    with means_of(settings) as means:
        decide.release(means, name, by=me())
        tell_status(means)
    err.print(f"{name} is released", markup=False)


def _checked(card: Path) -> dict[str, object]:
    try:
        source = load(card)
        pair(source)
    except CardError as error:
        return {"card": str(card), "verdict": str(error)}
    return {"card": str(card), "verdict": "good", "protocol": source.protocol, "mapping": source.mapping}
