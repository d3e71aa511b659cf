"""Define the commands query and mcp, which query the published data without a server."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import choice_option, fail, print_note
from command_line.services import public_address
from command_line.settings import Context, Settings
from publisher.errors import NoFormat, QuerySyntaxError
from publisher.limits import Limits, read
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest, uses_service
from vocab.iris import Iris
from web.respond import GRAPHS, TABLES

app = typer.Typer()


def open_service(settings: Settings, limits: Limits) -> QueryService:
    """Return the service of the published data, with one worker."""
    iris = Iris(settings.base)
    return QueryService(settings.data, iris, limits, readers=1, elsewhere=settings.elsewhere)


@app.command()
def mcp(context: Context) -> None:
    """Answer an AI assistant on standard input and output, by the Model Context Protocol, until the
    input ends.
    """
    settings, server = context.obj, import_module("publisher.apis.mcp_server")  # a second's imports
    url = public_address(settings, "127.0.0.1", 8000)

    async def answer() -> None:
        async with open_service(settings, read(settings.limits)) as service:
            await server.create_server(service, url).run_stdio_async()

    asyncio.run(answer())


@app.command()
def query(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help="A file with a SPARQL query.", exists=True, dir_okay=False)
    ],
    form: Annotated[str, choice_option("--format", "Result format", [*TABLES, *GRAPHS])] = "",
    seconds: Annotated[
        float, typer.Option("--timeout", help="Time limit in seconds.", min=0.001)
    ] = 600.0,
) -> None:
    """Run a SPARQL query on the published data, without a server."""
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
    async with open_service(settings, Limits(seconds=seconds)) as service:
        await service.wait_until_current(is_indexed=query_request.has_search)
        query_request = await rewrite(service, query_request)
        if query_request.note:
            print_note(f"{TEXT_HEADER}: {query_request.note}")
        with closing(await service.query(query_request)) as answer:
            async for chunk in answer.chunks():
                sys.stdout.buffer.write(chunk)
    sys.stdout.flush()
