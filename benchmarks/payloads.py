"""Payloads: the simulated CKAN portal's packages, and the reader and the times that describing them takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from harvesters.demo.book import Book
from harvesters.demo.fate import Age, Fault, registries
from harvesters.mappings.table import MAPPINGS
from harvesters.record import Record
from harvesters.source import Source
from vocab.chronicle import Provenance, attest
from vocab.crosswalks import Crosswalks
from vocab.describe import describe
from vocab.initiative import Resource
from vocab.iris import Iris

IRIS = Iris()
SOURCE = Source(
    name="demo-ckan",
    title="Simulated portal",
    protocol="ckan",
    mapping="ckan_package",
    url="http://127.0.0.1/ckan",
    licence="https://creativecommons.org/licenses/by/4.0/",
)
_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_ABOUT = Provenance(SOURCE.name, "demo-ckan.1", SOURCE.mapping, "0" * 32, _TIME, _TIME)


def payloads(count: int, faults: Collection[Fault] = ()) -> Iterator[bytes]:
    """Write *count* packages as a portal sends them, each a JSON object."""
    book = Book(registries(count, 1, ["ckan"])[0], Age(1, frozenset(faults)))
    yield from (book.one(place).rstrip(b",\n") for place in range(len(book)))
    book.close()


def records(raws: Iterator[bytes]) -> list[Record[Any]]:
    """Parse packages."""
    return [_record(raw) for raw in raws]


def _record(raw: bytes) -> Record[Any]:
    package = orjson.loads(raw)
    return Record(package["id"], package, raw)


def reader() -> Callable[[Record[Any]], Resource]:
    """Give the mapping's function."""
    return MAPPINGS[SOURCE.mapping].prepare(SOURCE, Crosswalks(IRIS))


def statements(it: Resource) -> list[str]:
    """Describe one record: its own statements and its record's, as N-Triples without the closing dot."""
    return describe(it, IRIS, SOURCE.name) + attest(it.key, IRIS, _ABOUT)
