"""Clients: how each of those that harvest others' feeds gets all of ours, and what it then holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import feedparser
import httpx
from icalendar import Calendar
from lxml import etree
from mutating_source import RecordStatements, plain
from oaipmh_scythe import Scythe
from pyoxigraph import DefaultGraph, NamedNode, RdfFormat, parse
from sickle import Sickle
from waiting import wait_until

OAI, AT = "{http://www.openarchives.org/OAI/2.0/}", "{http://purl.org/atompub/tombstones/1.0}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"


@dataclass
class Got:
    """What a client got, in its order: an address and what was shown_count of it, None where that
    it is gone.
    """

    items: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any]:
        """Return what was shown_count last of each."""
        return dict(self.items)

    @property
    def doubled(self) -> list[str]:
        names = [name for name, _ in self.items]
        return sorted({name for name in names if names.count(name) > 1})


@dataclass
class Scenario:
    """What held before and after the commit, what it touched, and what each client got before,
    across and after it.
    """

    before: RecordStatements
    after: RecordStatements
    touched: set[str]
    got: dict[tuple[str, str], Got]


def triples(element: Any) -> frozenset[str]:
    return frozenset(str(quad.triple) for quad in parse(etree.tostring(element), RdfFormat.RDF_XML))


def oai_items(records: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for record in records:
        yield (
            record.header.identifier,
            None if record.deleted else triples(record.xml.find(f".//{RDF}")),
        )


def by_sickle(url: str, **more: str) -> Iterator[tuple[str, Any]]:
    return oai_items(Sickle(f"{url}/oai").ListRecords(metadataPrefix="rdf", **more))


def by_scythe(url: str, **more: Any) -> Iterator[tuple[str, Any]]:
    with Scythe(f"{url}/oai") as scythe:
        yield from oai_items(scythe.list_records(metadata_prefix="rdf", **more))


def by_feedparser(url: str) -> Iterator[tuple[str, Any]]:
    """Follow the archives back, and give changes from the newest on: title and time, None of what
    is gone.
    """
    address: str | None = f"{url}/feeds/all.atom"
    newest_first = True
    while address:
        data = httpx.get(address, verify=False).content
        feed = feedparser.parse(data)
        assert not feed.bozo, feed.get("bozo_exception")
        results = {entry.id: (entry.title, entry.updated) for entry in feed.entries}
        order = [
            item.get("ref") or item.findtext("{*}id")
            for item in etree.fromstring(data)
            if item.tag.endswith(("entry", "deleted-entry"))
        ]
        for name in order if newest_first else reversed(order):
            assert name is not None
            yield name, results.get(name)
        address = next((link.href for link in feed.feed.links if link.rel == "prev-archive"), None)
        newest_first = False


def by_activities(url: str) -> Iterator[tuple[str, Any]]:
    """Go through the collection from its first page on: kind of change and name."""
    address: str | None = httpx.get(f"{url}/activities", verify=False).json()["first"]
    while address:
        page = httpx.get(address, verify=False).json()
        for item in page["orderedItems"]:
            yield (
                item["object"]["id"],
                None if item["type"] == "Delete" else item["object"]["nameMap"],
            )
        address = page.get("next")


def by_icalendar(data: bytes) -> Iterator[tuple[str, Any]]:
    for node in Calendar.from_ical(data).walk("VEVENT"):
        yield str(node["uid"]), node


def by_ldes(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the versions: of which record, in which order of the stream, and what its graph
    statements.
    """
    for line in lines:
        body = json.loads(line)
        quads = list(parse(body["quads"].encode(), RdfFormat.N_QUADS))
        outside = [quad for quad in quads if quad.graph_name == DefaultGraph()]
        about = {
            quad.predicate.value.rpartition("/")[2].rpartition("#")[2]: quad.object.value
            for quad in outside
        }
        statements = [
            str(quad.triple) for quad in quads if quad.graph_name == NamedNode(body["id"])
        ]
        yield (
            about["isVersionOf"], (body["id"], int(about["position"]), about["type"].rpartition("#")[2], plain(statements)),
        )  # fmt: skip


def wait(condition: Callable[[], bool]) -> None:
    wait_until(condition, "what harvesters read to have changed")


def shown_count(url: str) -> int:
    """Count the changes that harvesters are shown_count of."""
    answer = httpx.get(f"{url}/activities", verify=False)
    return int(answer.json()["totalItems"]) if answer.status_code == 200 else 0


def now(url: str) -> str:
    answer = etree.fromstring(httpx.get(f"{url}/oai?verb=Identify", verify=False).content)
    date = answer.findtext(f"{OAI}responseDate")
    assert date is not None
    return date


def all_at_once(url: str) -> dict[str, Got]:
    calendar = by_icalendar(httpx.get(f"{url}/feeds/events.ics", verify=False).content)
    clients = {
        "sickle": by_sickle(url),
        "scythe": by_scythe(url),
        "feedparser": by_feedparser(url),
        "activities": by_activities(url),
    }
    return {name: Got(list(items)) for name, items in {**clients, "icalendar": calendar}.items()}


def take_items(items: Iterator[tuple[str, Any]], number: int) -> Got:
    """Take some and leave the rest for later."""
    return Got([next(items) for _ in range(number)])
