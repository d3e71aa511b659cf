"""Measure the pages a second of each feed that others harvest. One client follows it over one
connection, as harvesters do; the server is a real process.

By hand: ``python -m benchmarks feeds --records 10000``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import typer
from lxml import etree

from benchmarks.measuring import Line, is_served, served, settled, show, until
from benchmarks.worlds import TIME, write
from command_line.console import err
from journal.journal import Journal

_OAI = "{http://www.openarchives.org/OAI/2.0/}"

Pages = Iterator[tuple[int, int]]  # the bytes and the number of records of each page


def by_oai(verb: str, prefix: str, client: httpx.Client) -> Pages:
    """Follow OAI-PMH's resumption tokens."""
    address: str | None = f"/oai?verb={verb}&metadataPrefix={prefix}"
    while address:
        content = _content(client, address)
        document = etree.fromstring(content)
        yield len(content), sum(1 for _ in document.iter(f"{_OAI}header"))
        token = document.findtext(f".//{_OAI}resumptionToken")
        address = f"/oai?verb={verb}&resumptionToken={quote(token)}" if token else None


def by_ldes(media: str, client: httpx.Client) -> Pages:
    """Follow the pages of the first day, in the order of their relations."""
    number = 1
    while (
        answer := client.get(f"/ldes/time/{TIME:%Y-%m-%d}/{number}", headers={"Accept": media})
    ).is_success:
        members = answer.content.count(b"<https://w3id.org/tree#member>")
        yield len(answer.content), members or answer.content.count(b"dct:isVersionOf <")
        number += 1


def by_archives(client: httpx.Client) -> Pages:
    """Follow the archives of the feed of all records backwards."""
    address: str | None = "/feeds/all.atom"
    while address:
        content = _content(client, address)
        document = etree.fromstring(content)
        yield len(content), sum(1 for _ in document.iter("{*}entry"))
        before = document.find("{*}link[@rel='prev-archive']")
        address = None if before is None else str(before.get("href"))


def by_activities(client: httpx.Client) -> Pages:
    """Follow the pages of the collection."""
    address: str | None = "/activities/1"
    while address:
        answer = client.get(address).raise_for_status()
        document = answer.json()
        yield len(answer.content), len(document["orderedItems"])
        address = document.get("next")


def by_sitemaps(client: httpx.Client) -> Pages:
    """Get all sitemaps."""
    for item in etree.fromstring(_content(client, "/sitemap.xml")).iter("{*}loc"):
        content = _content(client, str(item.text))
        yield len(content), content.count(b"<url>")


def by_calendar(client: httpx.Client) -> Pages:
    """Get the calendar, which is one page."""
    content = _content(client, "/feeds/events.ics")
    yield len(content), content.count(b"BEGIN:VEVENT")


FEEDS: Mapping[str, Callable[[httpx.Client], Pages]] = {
    **{
        f"OAI-PMH, ListRecords, {prefix}": partial(by_oai, "ListRecords", prefix)
        for prefix in ("oai_dc", "datacite", "rdf")
    },
    "OAI-PMH, ListIdentifiers": partial(by_oai, "ListIdentifiers", "oai_dc"),
    "LDES, N-Quads": partial(by_ldes, "application/n-quads"),
    "LDES, TriG": partial(by_ldes, "application/trig"),
    "Atom, archives": by_archives,
    "ActivityStreams": by_activities,
    "sitemaps": by_sitemaps,
    "calendar": by_calendar,
}


def _content(client: httpx.Client, address: str) -> bytes:
    return client.get(address).raise_for_status().content


def measured(name: str, pages: Pages, most: int) -> Line:
    """Follow a feed over at most *most* pages."""
    count, records, size, since = 0, 0, 0, time.perf_counter()
    for page_size, page_records in pages:
        count, records, size = count + 1, records + page_records, size + page_size
        if count == most:
            break
    seconds = time.perf_counter() - since
    note = f"{count:,} pages of {records / count:,.0f} records and {size / count / 1000:,.0f} kB"
    return Line(name, "pages/s", count / seconds, note=note)


def main(
    records: Annotated[int, typer.Option(help="Records to publish.", min=1000)] = 100_000,
    pages: Annotated[int, typer.Option(help="Pages of a feed to follow.", min=1)] = 200,
) -> None:
    """Write a journal, serve it, and follow each feed."""
    with tempfile.TemporaryDirectory(prefix="feeds-") as folder:
        data = Path(folder)
        err.print(f"writing {records:,} records")
        write(Journal(data / "journal"), records)
        with served(data) as client:
            until(lambda: is_served(client, data))
            until(lambda: client.get("/activities").json().get("totalItems") == records)
            settled(data, client)
            lines = [measured(name, follow(client), pages) for name, follow in FEEDS.items()]
    show(f"Feeds, {records:,} records", lines)


if __name__ == "__main__":
    typer.run(main)
