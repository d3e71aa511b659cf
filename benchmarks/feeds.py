"""Pages a second of each feed that others harvest, followed by one client over one connection, as
harvesters do.

The server is a real one. By hand: ``python -m benchmarks.feeds --records 10000``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import typer
from lxml import etree

from benchmarks.end_to_end import is_served, ready, served, settled
from benchmarks.payloads import IRIS
from benchmarks.processes import until
from benchmarks.release import write
from benchmarks.result_table import Json, Line, err, show
from journal.journal import Journal
from vocab.initiative import Claim, Event, Text
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import Provenance, describe_record

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_PATIENCE = 3600.0  # seconds: a large journal is loaded first
_EVENTS = 20  # one event to so many records
_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_NQUADS = {"Accept": "application/n-quads"}
_MEMBER = b"<https://w3id.org/tree#member>"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its size in bytes and its number of records."""

    size: int
    records: int


Follow = Callable[[httpx.Client], Iterator[Page]]


def events(journal: Journal, count: int) -> None:
    """Add an entry of *count* events."""
    about = Provenance("demo-events", "demo-events.1", "fields", "0" * 64, _TIME, _TIME)

    def rows() -> Iterator[str]:
        for number in range(count):
            line = Claim(IRIS.concept("action-line", f"C{1 + number % 6}"))
            event = Event(
                key=str(number),
                titles=(Text(f"Forum {number}", "en"),),
                start=f"2026-{1 + number % 12:02d}-01",
                action_lines=(line,),
            )
            triples = [
                *describe(event, IRIS, "demo-events"),
                *describe_record(event.key, IRIS, about),
            ]
            yield from (f"A {row}" for row in quads(triples, IRIS.record("demo-events", event.key)))

    journal.append(rows(), run="demo-events.1", time=_TIME)


def by_oai(verb: str, prefix: str) -> Follow:
    """Return a harvest by OAI-PMH."""

    def follow(client: httpx.Client) -> Iterator[Page]:
        address: str | None = f"/oai?verb={verb}&metadataPrefix={prefix}"
        while address:
            data = _got(client, address)
            document = etree.fromstring(data)
            yield Page(len(data), sum(1 for _ in document.iter(f"{_OAI}header")))
            token = document.findtext(f".//{_OAI}resumptionToken")
            address = f"/oai?verb={verb}&resumptionToken={quote(token)}" if token else None

    return follow


def by_ldes(headers: dict[str, str]) -> Follow:
    """Return a replication by the pages of the first day, in the order of their relations."""

    def follow(client: httpx.Client) -> Iterator[Page]:
        for number in range(1, 1_000_000):
            answer = client.get(f"/ldes/time/{_TIME:%Y-%m-%d}/{number}", headers=headers)
            if answer.status_code == 404:
                return
            yield Page(
                len(answer.content),
                answer.content.count(_MEMBER) or answer.content.count(b"dct:isVersionOf <"),
            )

    return follow


def by_archives(client: httpx.Client) -> Iterator[Page]:
    """Follow the archives of the feed of all back."""
    address: str | None = "/feeds/all.atom"
    while address:
        data = _got(client, address)
        document = etree.fromstring(data)
        yield Page(len(data), sum(1 for _ in document.iter("{*}entry")))
        links = (
            item.get("href")
            for item in document.iterfind("{*}link")
            if item.get("rel") == "prev-archive"
        )
        address = next((str(link) for link in links), None)


def by_activities(client: httpx.Client) -> Iterator[Page]:
    """Follow the pages of the collection."""
    address: str | None = "/activities/1"
    while address:
        answer = client.get(address).raise_for_status()
        document = answer.json()
        yield Page(len(answer.content), len(document["orderedItems"]))
        address = document.get("next")


def by_sitemaps(client: httpx.Client) -> Iterator[Page]:
    """Get all sitemaps."""
    for item in etree.fromstring(_got(client, "/sitemap.xml")).iter("{*}loc"):
        data = _got(client, str(item.text))
        yield Page(len(data), data.count(b"<url>"))


def by_calendar(client: httpx.Client) -> Iterator[Page]:
    """Get the calendar, which is one page."""
    data = _got(client, "/feeds/events.ics")
    yield Page(len(data), data.count(b"BEGIN:VEVENT"))


FEEDS: dict[str, Follow] = {
    "OAI-PMH, ListRecords, oai_dc": by_oai("ListRecords", "oai_dc"),
    "OAI-PMH, ListRecords, datacite": by_oai("ListRecords", "datacite"),
    "OAI-PMH, ListRecords, rdf": by_oai("ListRecords", "rdf"),
    "OAI-PMH, ListIdentifiers": by_oai("ListIdentifiers", "oai_dc"),
    "LDES, N-Quads": by_ldes(_NQUADS),
    "LDES, TriG": by_ldes({"Accept": "application/trig"}),
    "Atom, archives": by_archives,
    "ActivityStreams": by_activities,
    "sitemaps": by_sitemaps,
    "calendar": by_calendar,
}


def measured(name: str, follow: Follow, client: httpx.Client, most: int) -> Line:
    """Follow a feed over at most *most* pages."""
    pages, records, size, since = 0, 0, 0, time.perf_counter()
    for page in follow(client):
        pages, records, size = pages + 1, records + page.records, size + page.size
        if pages == most:
            break
    seconds = time.perf_counter() - since
    note = f"{pages:,} pages of {records / pages:,.0f} records and {size / pages / 1000:,.0f} kB, {records / seconds:,.0f} records/s"
    return Line(name, "pages/s", pages / seconds, note=note)


def _got(client: httpx.Client, address: str) -> bytes:
    return client.get(address).raise_for_status().content


def _is_announced(client: httpx.Client, count: int) -> bool:
    """Return whether harvesters can see all changes."""
    answer = client.get("/activities")
    return answer.is_success and answer.json()["totalItems"] == count


def main(
    records: Annotated[int, typer.Option(help="Records to publish.", min=1000)] = 100_000,
    pages: Annotated[int, typer.Option(help="Pages of each feed to follow at most.", min=1)] = 200,
    json: Json = False,
) -> None:
    """Write a journal, serve it, and follow each feed."""
    with tempfile.TemporaryDirectory(prefix="feeds-") as folder:
        data = Path(folder)
        journal, calendar = Journal(data / "journal"), records // _EVENTS
        err.print(f"writing {records:,} records")
        write(journal, records - calendar)
        events(journal, calendar)
        with served(data) as address, httpx.Client(base_url=address, timeout=600) as client:
            err.print("loading them")
            until(lambda: ready(client), _PATIENCE)  # it answers once the journal is loaded
            until(lambda: is_served(client, journal) and _is_announced(client, records), _PATIENCE)
            settled(data, client)
            lines = [measured(name, follow, client, pages) for name, follow in FEEDS.items()]
    show(f"Feeds, {records:,} records", lines, json)


if __name__ == "__main__":
    typer.run(main)
