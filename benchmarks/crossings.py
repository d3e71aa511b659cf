"""Count the modules that a request and a journal entry cross: ``python -m benchmarks crossings
DATA``, for a published data folder.

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
from journal.journal import Journal
from journal.processes import preload
from publisher.app import create_app
from publisher.store.changes import JournalReader
from publisher.store.follow import open_runner
from publisher.store.query_service import QueryService
from vocab.iris import Iris

HTML = {"Accept": "text/html"}
QUERY = (
    "/sparql?query=SELECT%20?p%20(COUNT(*)%20AS%20?n)%20%7B%20?s%20?p%20?o%20%7D%20GROUP%20BY%20?p"
)


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


def main(
    data: Annotated[Path, typer.Argument(help="A data folder with a published store.")],
    names: Annotated[bool, typer.Option(help="Print the modules too.")] = False,
) -> None:
    """Print the number of modules for each kind of request, and for a journal entry."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        trace.touch()
        os.environ[TRACE] = str(trace)
        preload("benchmarks.trace")
        # Threads that answer requests start with the first ones, so all are recorded from there on.
        with recorded_modules() as seen:
            results = asyncio.run(measure_requests(data, trace, seen))
        results["journal entry"] = measure_entry(data, Path(folder))
    for request, modules in results.items():
        print(f"{request:<17} {len(modules):>3}", *sorted(modules) if names else ())


if __name__ == "__main__":
    typer.run(main)
