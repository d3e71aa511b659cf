"""Count the modules that a request, a journal entry and a changed record cross: ``python -m
benchmarks crossings DATA``, for a published data folder.

A module counts if one of its functions runs between the request and its response, in any thread or
in the query worker, with an empty cache. Functions of the background tasks count too if they run in
that time.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer

from benchmarks.trace import TRACE, profile
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.run import harvest
from harvesters.source import parse
from journal.journal import Journal
from journal.processes import preload
from publisher.app import create_app
from publisher.sparql import exports
from publisher.store import query_service
from publisher.store.changes import JournalReader
from publisher.store.follow import open_runner
from publisher.store.query_service import QueryService
from vocab.iris import Iris

HTML = {"Accept": "text/html"}
QUERY = (
    "/sparql?query=SELECT%20?p%20(COUNT(*)%20AS%20?n)%20%7B%20?s%20?p%20?o%20%7D%20GROUP%20BY%20?p"
)

DEFINITION = {
    "title": "Crossings", "protocol": "json", "mapping": "fields", "url": "https://registry.example/api",
    "licence": "https://creativecommons.org/licenses/by/4.0/", "language": "en", "pause": 0,
    "options": {"records": "results", "key": "id"}, "fields": {"key": "id", "title@en": "name"},
}  # fmt: skip


@contextmanager
def recorded_modules() -> Iterator[set[str]]:
    """Yield the set to which each module of ours is added when one of its functions is called, in
    this thread or in one that starts later.
    """
    seen: set[str] = set()
    threading.setprofile(profile(seen.add))
    sys.setprofile(profile(seen.add))
    try:
        yield seen
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def measure_requests(data: Path, trace: Path, seen: set[str]) -> dict[str, set[str]]:
    """Return the modules that each kind of request crosses, which are added to *seen*; workers write
    their modules to *trace*.
    """
    # What looks for news in the background takes no part in a request.
    query_service.POLL_INTERVAL = query_service.LAG_INTERVAL = exports.POLL_SECONDS = 600
    service = QueryService(data, Iris(), follow=False, readers=1)
    app = create_app(service)
    transport = httpx.ASGITransport(app=app)
    modules: dict[str, set[str]] = {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://h.example", timeout=120) as client,
    ):
        results = (await client.get("/search?format=json&per=1&kind=initiative")).json()["results"]
        iri = next(value for value in results[0].values() if "/id/" in str(value))
        thing = str(iri).partition("/id/")[2]
        record = f"/record/{thing.partition('/')[2]}"
        requests = {
            "counting query": (QUERY, {"Accept": "application/json"}),
            "page of a thing": (f"/page/{thing}", HTML),
            "page of a record": (record, HTML),
            "record as JSON": (f"{record}.json", {}),
            "home page": ("/", HTML),
        }
        for name, (path, headers) in requests.items():
            os.truncate(trace, 0)
            seen.clear()
            response = await client.get(path, headers=headers)
            response.raise_for_status()
            modules[name] = seen | set(trace.read_text().split())
    return modules


def measure_entry(data: Path, folder: Path) -> set[str]:
    """Return the modules that a journal entry crosses until readers see it; *folder* is for a copy
    of *data*.
    """
    for name in ("journal", "store"):
        shutil.copytree(data / name, folder / name)
    journal, iris = Journal(folder / "journal"), Iris()
    row = f'<{iris.base}record/x/1> <http://purl.org/dc/terms/title> "A" <{iris.base}record/x/1>'
    with (
        recorded_modules() as modules,
        closing(
            open_runner(
                JournalReader(journal, iris.base), folder / "store", data / "status.nq", iris.status
            )
        ) as runner,
    ):
        runner.finish()
        journal.append([f"A {row} ."], run="crossings.1", time=datetime.now(UTC))
        modules.clear()
        runner.finish()
    return modules


def measure_record(folder: Path) -> set[str]:
    """Return the modules that a changed record crosses from its registry to the journal, in one
    process; *folder* is for the data.
    """
    rows = [{"id": "1", "name": "A"}]

    def answer(request: httpx.Request) -> httpx.Response:
        is_robots = request.url.path == "/robots.txt"
        return httpx.Response(404) if is_robots else httpx.Response(200, json={"results": rows})

    source = parse("crossings", DEFINITION, "crossings")
    network = NetworkSettings(transport=httpx.MockTransport(answer))
    ledger = f"sqlite:///{folder / 'ledger.sqlite'}"
    with open_context(folder / "data", ledger, Iris().base, network) as context:
        harvest(source, context)
        rows[0]["name"] = "B"
        with recorded_modules() as modules:
            plan = harvest(source, context)
    assert plan.counts["changed"] == 1
    return modules


def main(
    data: Annotated[Path, typer.Argument(help="A data folder with a published store.")],
    names: Annotated[bool, typer.Option(help="Print the modules too.")] = False,
) -> None:
    """Print the number of modules for each kind of request, for a journal entry, and for a changed
    record.
    """
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        trace.touch()
        os.environ[TRACE] = str(trace)
        preload("benchmarks.trace")
        # Threads that answer requests start with the first ones, so all are recorded from there on.
        with recorded_modules() as seen:
            results = asyncio.run(measure_requests(data, trace, seen))
        results["journal entry"] = measure_entry(data, Path(folder))
        results["changed record"] = measure_record(Path(folder))
    for request, modules in results.items():
        print(f"{request:<17} {len(modules):>3}", *sorted(modules) if names else ())


if __name__ == "__main__":
    typer.run(main)
