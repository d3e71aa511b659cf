"""Define the commands diff and examples, which query the published data without a server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from command_line.console import Json, choice_option, fail, print_json
from command_line.query import open_service
from command_line.settings import Context, Settings
from publisher.history.change_reader import open_history
from publisher.history.comparison import CHANGES, compare, list_records, parse_within
from publisher.limits import Limits, read
from publisher.portal.compare import find_moments, moment_tables, record_fields
from publisher.portal.datasets import TABLE_FORMATS, Column, DataTable, serialize_tables
from publisher.sparql.examples import (
    Example,
    Outcome,
    examples,
    run_examples,
    write_outcomes,
)
from vocab.iris import Iris
from web.respond import HTTPProblem

app = typer.Typer(no_args_is_help=True)
FORMATS = ("csv", "json")


@app.command()
def diff(
    context: Context,
    before: Annotated[
        str, typer.Argument(help="The earlier moment: a date (its end, UTC), release/3 or entry/5.")
    ],
    after: Annotated[str, typer.Argument(help="The later moment; default: now.")] = "now",
    within: Annotated[
        list[str],
        typer.Option(
            help="Only records of a set: source:demo, kind:event, country:404, line:C2, goal:4."
        ),
    ] = [],  # noqa: B006
    record: Annotated[
        str, typer.Option(help="IRI of a record or thing: compare its versions field by field.")
    ] = "",
    only: Annotated[
        str, choice_option("--only", "List the records that a number counts", CHANGES)
    ] = "",
    form: Annotated[str, choice_option("--format", "Format", FORMATS)] = "csv",
) -> None:
    """Compare the records at two moments: counts, new, vanished, gone and changed, or one record
    field by field.
    """
    try:
        asyncio.run(_diff(context.obj, (before, after), within, record, only, form))
    except HTTPProblem as error:
        fail(str(error))


async def _diff(
    settings: Settings,
    moments: tuple[str, str],
    within: list[str],
    record: str,
    only: str,
    form: str,
) -> None:
    sets, iris = parse_within(within), Iris(settings.base)
    async with open_service(settings, Limits(seconds=600)) as service:
        await service.wait_until_current()
        one, other = await asyncio.to_thread(find_moments, service, *moments)
        if record:
            rows: Iterable[tuple[str, ...]] = (
                (field.label, change, value)
                for field in await record_fields(service, record, one, other)
                for change in ("removed", "added")
                for value in getattr(field, change)
            )
            tables = [_table("fields", ("field", "change", "value"), rows)]
        elif only:
            listed = list_records(open_history(service), one, other, sets, only)
            rows = ((kind, f"{iris.base}id/{kind}/{name}") for kind, name in listed)
            tables = [_table("records", ("kind", "thing"), rows)]
        else:
            compared = await asyncio.to_thread(compare, open_history(service), one, other, sets)
            tables = moment_tables(compared)
    page = f"{settings.public_url}/compare"
    sys.stdout.buffer.write(serialize_tables(tables, TABLE_FORMATS[form], page, iris))


def _table(name: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> DataTable:
    return DataTable(name, "", tuple(map(Column, columns)), tuple(rows))


example_queries = typer.Typer(no_args_is_help=True, help="The example queries.")


@example_queries.command(name="run")
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
        raise typer.BadParameter(f"unknown example {unknown[0]!r}; known are {', '.join(known)}")
    chosen = [known[name] for name in names] if names else list(known.values())
    outcomes = asyncio.run(_run(context.obj, chosen, quiet=as_json))
    if as_json:
        documents = [
            {
                "name": name,
                "kind": known[name].kind,
                "rows": outcome.rows,
                "seconds": outcome.seconds,
                "ok": outcome.passed,
                **({"error": outcome.error} if outcome.error else {}),
            }
            for name, outcome in outcomes.items()
        ]
        print_json(documents, is_indented=True)
    bad = [name for name, outcome in outcomes.items() if not outcome.passed]
    if bad:
        fail(f"{len(bad)} of {len(outcomes)} failed or returned no rows: {', '.join(bad)}")


async def _run(settings: Settings, chosen: list[Example], *, quiet: bool) -> dict[str, Outcome]:
    outcomes = {}
    async with open_service(settings, read(settings.limits)) as service:
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
