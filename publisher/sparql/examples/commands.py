"""The commands of the examples: list them, run them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.table import Table

from publisher.limits import read
from publisher.sparql.examples.durations import write_durations
from publisher.sparql.examples.example import Example, examples
from publisher.sparql.examples.example_runner import ExampleOutcome, run_examples
from publisher.store.external.endpoint import StoreURLs
from publisher.store.query_service import QueryService
from vocab.iris import Iris

app = typer.Typer(no_args_is_help=True, help="The example queries.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Settings(Protocol):
    """What these commands need of the front door's settings."""

    @property
    def data(self) -> Path: ...  # noqa: D102 - the front door's Settings say what each is
    @property
    def base(self) -> str: ...  # noqa: D102
    @property
    def limits(self) -> str: ...  # noqa: D102
    @property
    def elsewhere(self) -> StoreURLs | None: ...  # noqa: D102


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the example queries."""
    settings: Settings = context.obj
    them = examples(Iris(settings.base))
    if as_json:
        print(json.dumps([_told(it) | {"query": it.text} for it in them], indent=2, ensure_ascii=False))
        return
    table = Table("name", "kind", "title", "keywords", box=None)
    for it in them:
        table.add_row(it.name, it.kind, it.title, ", ".join(it.keywords))
    Console().print(table)


@app.command(name="run")
def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these examples.")] = None,
    as_json: Json = False,
) -> None:
    """Run the example queries. Exit code 1 if one fails or returns no rows."""
    settings: Settings = context.obj
    known = {it.name: it for it in examples(Iris(settings.base))}
    if unknown := [name for name in names or () if name not in known]:
        raise typer.BadParameter(f"no example {unknown[0]!r}; stocktake examples list names them")
    chosen = [known[name] for name in names] if names else list(known.values())
    outcomes = asyncio.run(_run(settings, chosen, quiet=as_json))
    if as_json:
        print(json.dumps([_outcome(it) for it in outcomes], indent=2, ensure_ascii=False))
    bad = [it.example.name for it in outcomes if not it.good]
    if bad:
        Console(stderr=True).print(f"{len(bad)} of {len(outcomes)} failed or answered nothing: {', '.join(bad)}", style="red", markup=False)
        raise typer.Exit(1)


async def _run(settings: Settings, chosen: list[Example], *, quiet: bool) -> list[ExampleOutcome]:
    found = []
    async with QueryService(settings.data, Iris(settings.base), read(settings.limits), readers=1, elsewhere=settings.elsewhere) as service:
        async for it in run_examples(service, chosen):
            found.append(it)
            if not quiet:
                mark = "ok  " if it.good else "FAIL"
                print(f"{mark} {it.rows:>7} rows {it.seconds:>8.3f} s  {it.example.name}  {it.trouble}".rstrip(), flush=True)
        write_durations(settings.data, found, service.current.position)
    return found


def _told(it: Example) -> dict[str, object]:
    return {"name": it.name, "iri": it.iri, "kind": it.kind, "title": it.title, "comment": it.comment, "keywords": list(it.keywords)}


def _outcome(it: ExampleOutcome) -> dict[str, object]:
    told = {"name": it.example.name, "kind": it.example.kind, "rows": it.rows, "seconds": round(it.seconds, 4)}
    return {**told, "ok": it.good, **({"trouble": it.trouble} if it.trouble else {})}
