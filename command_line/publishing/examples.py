"""Define the commands `examples list` and `examples run`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from command_line.console import Json, fail, print_json
from command_line.harvesting.output import print_rows
from command_line.settings import Context, Settings
from publisher.limits import read
from publisher.sparql.examples import (
    Example,
    Outcome,
    examples,
    run_examples,
    write_outcomes,
)
from publisher.store.query_service import QueryService
from vocab.iris import Iris

app = typer.Typer(no_args_is_help=True, help="The example queries.")


@app.command(name="list")
def list_(context: Context, as_json: Json = False) -> None:
    """List the example queries."""
    all_examples = examples(Iris(context.obj.base))
    described = [_describe(item) | {"query": item.text} for item in all_examples]
    rows = [
        {
            "name": item.name,
            "kind": item.kind,
            "title": item.titles["en"],
            "keywords": ", ".join(item.keywords),
        }
        for item in all_examples
    ]
    print_rows(described, "Example queries", as_json, table_rows=rows)


@app.command(name="run")
def run(
    context: Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these examples.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the example queries. Exit code 1 if one fails or returns no rows."""
    known = {item.name: item for item in examples(Iris(context.obj.base))}
    if unknown := [name for name in names or () if name not in known]:
        raise typer.BadParameter(
            f"unknown example {unknown[0]!r}; `stocktake examples list` shows all"
        )
    chosen = [known[name] for name in names] if names else list(known.values())
    outcomes = asyncio.run(_run(context.obj, chosen, quiet=as_json))
    if as_json:
        documents = [_outcome(known[name], outcome) for name, outcome in outcomes.items()]
        print_json(documents, is_indented=True)
    bad = [name for name, outcome in outcomes.items() if not outcome.passed]
    if bad:
        fail(f"{len(bad)} of {len(outcomes)} failed or returned no rows: {', '.join(bad)}")


async def _run(settings: Settings, chosen: list[Example], *, quiet: bool) -> dict[str, Outcome]:
    outcomes = {}
    async with QueryService(
        settings.data,
        Iris(settings.base),
        read(settings.limits),
        readers=1,
        elsewhere=settings.elsewhere,
    ) as service:
        async for item, outcome in run_examples(service, chosen):
            outcomes[item.name] = outcome
            if not quiet:
                mark = "ok  " if outcome.passed else "FAIL"
                print(
                    f"{mark} {outcome.rows:>7} rows {outcome.seconds:>8.3f} s  {item.name}  {outcome.error}".rstrip(),
                    flush=True,
                )
    write_outcomes(settings.data, outcomes)
    return outcomes


def _describe(item: Example) -> dict[str, object]:
    return {
        "name": item.name,
        "iri": item.iri,
        "kind": item.kind,
        "title": item.titles["en"],
        "comment": item.comments["en"],
        "keywords": list(item.keywords),
    }


def _outcome(item: Example, outcome: Outcome) -> dict[str, object]:
    document = {
        "name": item.name,
        "kind": item.kind,
        "rows": outcome.rows,
        "seconds": outcome.seconds,
        "ok": outcome.passed,
    }
    return {**document, **({"error": outcome.error} if outcome.error else {})}
