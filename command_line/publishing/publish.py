"""Define the commands `dump`, `release`, `report` and `query`, and the server of `mcp`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated

import structlog
import typer

from command_line.console import fail, print_note
from command_line.settings import Context, Settings
from journal.journal import Journal
from publisher.errors import NoFormat, PublisherError, QuerySyntaxError
from publisher.limits import Limits, read
from publisher.releases import copies, schedule
from publisher.releases.builder import KEEP, apply_retention, build_release, to_json
from publisher.releases.dump import write_dumps
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.query_service import QueryService
from publisher.store.releases import release_stores
from publisher.store.releases.manifest import Release, list_releases, newest_release
from publisher.store.workers.query_request import QueryRequest, uses_service
from vocab.iris import Iris
from web.respond import GRAPHS, TABLES

log = structlog.get_logger(component="search")

app = typer.Typer(no_args_is_help=True)


def run_mcp(settings: Settings, url: str) -> None:
    """Answer an AI assistant on standard input and output until the input ends. Links begin with
    *url*.
    """
    module = import_module("publisher.apis.mcp_server")  # takes most of a second

    async def answer() -> None:
        limits = read(settings.limits)
        external = settings.elsewhere
        service = QueryService(
            settings.data,
            Iris(settings.base),
            limits,
            readers=1,
            elsewhere=external,
        )
        async with service as opened:
            await module.create_server(opened, url).run_stdio_async()

    asyncio.run(answer())


@app.command()
def dump(context: Context) -> None:
    """Write complete dumps: N-Quads, Turtle, and a CSV of removed records (gzip), each with its
    SHA-256.
    """
    for path in write_dumps(Journal(context.obj.data / "journal"), context.obj.data / "dumps"):
        print(path)


@app.command()
def release(
    context: Context,
    keep: Annotated[
        int, typer.Option(help="Number of releases whose files are kept.", min=1)
    ] = KEEP,
    every: Annotated[
        str, typer.Option(help="Make releases on this cron schedule (UTC) until Ctrl-C.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Make the next release: signed, numbered files of all published data. Exit code 1 if nothing
    has changed.
    """
    if every:
        _check_cron(every)
        schedule.follow(
            every,
            newest_release(context.obj.data / "releases"),
            lambda: _make_release(context.obj, keep, json),
        )
        return
    _make_release(context.obj, keep, json)


def _check_cron(every: str) -> None:
    try:
        schedule.trigger(every)
    except ValueError as error:
        raise typer.BadParameter(
            f"--every {every!r} is not a cron expression of five fields: {error}"
        ) from error


def _make_release(settings: Settings, keep: int, json: bool) -> Release:
    """Make a release with its queryable store and its report, and delete the files of old releases."""
    now, folder, iris = datetime.now(UTC), settings.data / "releases", Iris(settings.base)
    copies.download(settings.data)
    result = build_release(
        settings.data,
        iris,
        now,
        lambda step: print_note(f"{step} ...", "dim"),
        demo=settings.demo,
    )
    copies.upload(settings.data, result.number)
    release_stores.create_store(settings.data, result, iris)
    gone = apply_retention(folder, keep, now)
    release_stores.remove_stores(
        settings.data,
        (old_release.number for old_release in list_releases(folder) if not old_release.withdrawn),
    )
    if json:
        print(to_json(result))
    else:
        print(
            f"release {result.number} of journal entry {result.position}: {folder / str(result.number)}"
        )
    print_note("Writing the report ...", "dim")
    _report(settings, result.number)
    if not json:
        for old_release in gone:
            print(f"release {old_release.number}: files deleted (--keep {keep})")
    return result


def _report(settings: Settings, number: int) -> None:
    """Make the report of a new release; a failure is printed and leaves the release as it is."""
    try:
        # It is imported late, since it imports all pages.
        import_module("publisher.portal.report.builder").build_report(
            settings.data, Iris(settings.base), number, "en", {}
        )
    except (PublisherError, OSError) as error:
        print_note(f"report of release {number} failed: {error}", "yellow")


@app.command()
def report(
    context: Context,
    number: Annotated[
        int | None, typer.Option("--release", help="Release number (default: the newest).", min=1)
    ] = None,
    language: Annotated[str, typer.Option(help="Language: en, ar, zh, fr, ru or es.")] = "en",
    year: Annotated[str, typer.Option(help="Only initiatives of this year.")] = "",
    region: Annotated[
        str, typer.Option(help="Only of this ITU region, by its code, such as africa.")
    ] = "",
    action_line: Annotated[
        str, typer.Option(help="Only of this action line, such as C7-ehea.")
    ] = "",
    goal: Annotated[
        str, typer.Option(help="Only of this Sustainable Development Goal, such as 4.")
    ] = "",
    country: Annotated[
        str,
        typer.Option(
            help="Only of this country, by its M49 code, ISO code or name, such as 404, KE or Kenya."
        ),
    ] = "",
) -> None:
    """Write the stocktaking report of a release as HTML and PDF."""
    reporting = import_module("publisher.portal.report.builder")  # imports all pages
    filters = {
        "year": year,
        "region": region,
        "line": action_line,
        "goal": goal,
        "country": country,
    }
    result = reporting.build_report(
        context.obj.data,
        Iris(context.obj.base),
        number,
        language,
        {facet: code for facet, code in filters.items() if code},
    )
    for file in (*result.files, reporting.NUMBERS):
        print(context.obj.data / "reports" / result.name / file)


@app.command()
def query(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help="A file with a SPARQL query.", exists=True, dir_okay=False)
    ],
    form: Annotated[
        str, typer.Option("--format", help=f"Result format: {', '.join([*TABLES, *GRAPHS])}.")
    ] = "",
    seconds: Annotated[
        float, typer.Option("--timeout", help="Time limit in seconds.", min=0.001)
    ] = 600.0,
) -> None:
    """Run a SPARQL query on the published data, without a server."""
    if form and form not in TABLES and form not in GRAPHS:
        raise typer.BadParameter(
            f"unknown format {form!r}; available: {', '.join([*TABLES, *GRAPHS])}"
        )
    text = file.read_text(encoding="utf-8")
    if uses_service(text):
        fail("SERVICE is not supported: query the other endpoint yourself and join the results")
    table, graph = (
        (form if form in TABLES else None, form if form in GRAPHS else None)
        if form
        else ("tsv", "ttl")
    )
    try:
        asyncio.run(
            _run_query(context.obj, QueryRequest(text, table, graph, context.obj.base), seconds)
        )
    except NoFormat as error:
        kinds = "a table (SELECT, ASK)", TABLES, "a graph (CONSTRUCT, DESCRIBE)", GRAPHS
        kind, formats, *_ = kinds if table is None else kinds[2:]
        raise typer.BadParameter(
            f"--format {form}: the query returns {kind}, which has the formats {', '.join(formats)}"
        ) from error
    except QuerySyntaxError as fault:
        fail(f"{file}:{fault.line}:{fault.column}: {fault}" if fault.line else f"{file}: {fault}")


async def _run_query(settings: Settings, query_request: QueryRequest, seconds: float) -> None:
    async with QueryService(
        settings.data,
        Iris(settings.base),
        Limits(seconds=seconds),
        readers=1,
        elsewhere=settings.elsewhere,
    ) as service:
        await service.wait_until_current(is_indexed=query_request.has_search)
        query_request = await rewrite(service, query_request)
        if query_request.note:
            print_note(f"{TEXT_HEADER}: {query_request.note}")
        answer = await service.query(query_request)
        try:
            async for chunk in answer.chunks():
                sys.stdout.buffer.write(chunk)
        finally:
            answer.close()
    sys.stdout.flush()
