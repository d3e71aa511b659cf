"""Count the modules that a request crosses: ``python -m benchmarks.crossings DATA``, for a
published data folder.

A module counts if one of its functions runs between the request and its response, in any thread,
with an empty cache. Functions of the background tasks count too if they run in that time.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import httpx
import typer

from publisher.app import create_app
from publisher.store.query_service import QueryService
from vocab.iris import Iris

HTML = {"Accept": "text/html"}
QUERY = "/sparql?query=SELECT%20*%20%7B%20?s%20?p%20?o%20%7D%20LIMIT%2013"
PACKAGES = ("publisher", "vocab", "journal", "languages")


@contextmanager
def recorded_modules() -> Iterator[set[str]]:
    """Yield the set to which each module of ours is added when one of its functions is called."""
    seen: set[str] = set()

    def record(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.partition(".")[0] in PACKAGES:
            seen.add(name)

    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def measure(data: Path) -> dict[str, set[str]]:
    """Return the modules that each kind of request crosses."""
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
            "SPARQL query": (QUERY, {"Accept": "application/json"}),
            "page of a thing": (f"/page/{thing}", HTML),
            "page of a record": (record, HTML),
            "record as JSON": (f"{record}.json", {}),
            "home page": ("/", HTML),
        }
        for name, (path, headers) in requests.items():
            with recorded_modules() as modules[name]:
                response = await client.get(path, headers=headers)
            response.raise_for_status()
    return modules


def main(
    data: Annotated[Path, typer.Argument(help="A data folder with a published store.")],
    names: Annotated[bool, typer.Option(help="Print the modules too.")] = False,
) -> None:
    """Print the number of modules for each kind of request."""
    for request, modules in asyncio.run(measure(data)).items():
        print(f"{request:<17} {len(modules):>3}", *sorted(modules) if names else ())


if __name__ == "__main__":
    typer.run(main)
