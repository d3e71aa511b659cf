"""Serve ``/columns``, the codebook: the tables of a release, their columns, sample rows, and how to
read them.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.releases.metadata import CODEBOOK, PRINTED_CODEBOOK
from publisher.releases.tables import TABLES
from publisher.store.releases.manifest import release_numbers
from web.endpoints import get
from web.formats import HTML
from web.links import origin
from web.respond import respond

SAMPLES = 3  # rows of a table
MAX_CELL = 80  # characters of a cell that are shown
MAX_SAMPLE = 1 << 16  # first bytes of a table that are read


router = APIRouter()


@get(router, "/columns", include_in_schema=False)
async def columns(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Describe the tables of the latest release, column by column."""
    numbers = release_numbers(service.data / "releases")
    number = numbers[-1] if numbers else None
    folder = service.data / "releases" / str(number)
    samples = await asyncio.to_thread(_samples, folder) if number else {}
    files = f"{origin(request)}/releases/{number or 1}"
    # older releases have none
    has_codebook, has_print = ((folder / name).is_file() for name in (CODEBOOK, PRINTED_CODEBOOK))
    page = pages.page(
        "columns.html",
        tables=TABLES.values(),
        samples=samples,
        number=number,
        files=files,
        has_codebook=has_codebook,
        has_print=has_print,
    )
    return respond(request, page, HTML)


def _samples(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the first rows of each table, by its name; long cells are cut."""
    samples = {}
    for table in TABLES.values():
        file = folder / f"{table.name}.csv.gz"
        if file.is_file():
            with gzip.open(file) as content:
                text = content.read(MAX_SAMPLE).decode(errors="ignore")
            rows = list(csv.DictReader(io.StringIO(text)))[:SAMPLES]
            samples[table.name] = [
                {name: _cut(cell or "") for name, cell in row.items() if name} for row in rows
            ]
    return samples


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
