"""The simulated CKAN portal's packages, and the reader and the times that describing them takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson

from benchmarks.rdflib_mapping import built
from demo.record_index import RecordIndex
from demo.scenario import Fault, ScenarioState, registries
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Initiative, Party, Place, Resource, Role, Text
from vocab.iris import Iris
from vocab.statements.describe import describe
from vocab.statements.provenance import Provenance, describe_record

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
    book = RecordIndex(registries(count, 1, ["ckan"])[0], ScenarioState(1, frozenset(faults)))
    yield from (book.read(position).rstrip(b",\n") for position in range(len(book)))
    book.close()


def records(raws: Iterator[bytes]) -> list[Record[Any]]:
    """Parse packages."""
    return [record(raw) for raw in raws]


def record(raw: bytes) -> Record[Any]:
    """Parse a package."""
    package = orjson.loads(raw)
    return Record(package["id"], package, raw)


def reader() -> Callable[[Record[Any]], Resource]:
    """Return the mapping's function."""
    return MAPPINGS[SOURCE.mapping].prepare(SOURCE, Crosswalks(IRIS))


def statements(resource: Resource) -> list[str]:
    """Describe one record: its own statements and its record's, as N-Triples without the closing
    dot.
    """
    return describe(resource, IRIS, SOURCE.name) + describe_record(resource.key, IRIS, _ABOUT)


def ready(resource: Resource) -> bytes:
    """Write the model as a line of JSON, so that it can be read without a mapping."""
    return orjson.dumps(
        {field.name: getattr(resource, field.name) for field in fields(resource)}, default=_plain
    )


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else list(value)  # type: ignore[call-overload]  # a named tuple


def model(raw: bytes) -> Resource:
    """Read what ``ready`` wrote."""
    row = orjson.loads(raw)
    for name in ("titles", "descriptions", "subjects"):
        row[name] = [Text(*item) for item in row[name]]
    for name in ("action_lines", "goals", "targets"):
        row[name] = [Claim(concept, Basis(basis), *rest) for concept, basis, *rest in row[name]]
    row["parties"] = [Party(Role(role), Text(*name), *rest) for role, name, *rest in row["parties"]]
    row["places"] = [Place(name and Text(*name), *rest) for name, *rest in row["places"]]
    return Initiative(**row)


def theirs(resource: Resource) -> str:
    """Describe the same record with rdflib, as N-Triples."""
    if not isinstance(resource, Initiative):
        raise TypeError("the simulated portal has initiatives alone")
    return built(resource, IRIS, _ABOUT)
