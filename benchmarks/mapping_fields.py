"""Count what mappings read of real records: ``python -m benchmarks.mapping_fields``.

A field is read if the description changes without it. Each registry recorded in ``../shared/feeds``
gives up to five records a mapping by default, by the source definitions of the tests.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import structlog
import typer
from lxml.etree import _Element
from rich.console import Console
from rich.table import Table

from benchmarks.result_table import Json
from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError
from harvesters.mappings.registry import MAPPINGS
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from harvesters.page_model import Record
from harvesters.payloads.graph import PREFIXES, Graph
from harvesters.source import Source, load
from vocab.crosswalks import Crosswalks
from vocab.initiative import Claim, Initiative, Resource
from vocab.iris import Iris
from vocab.statements.describe import describe

TESTS = Path(__file__).parents[1] / "tests" / "harvesters"
_WITHOUT_REGISTRY = {"another-stocktake"}  # no other installation was recorded


@dataclass(slots=True)
class FieldCounts:
    """How often the fields of a mapping's records were read, had no effect, and on which basis
    concepts were linked.
    """

    records: int = 0
    read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    bases: Counter[str] = field(default_factory=Counter)

    def add(self, read: Iterable[str], dropped: Iterable[str], bases: Iterable[str]) -> None:
        """Add the fields and bases of one record."""
        self.records += 1
        self.read.update(read)
        self.dropped.update(dropped)
        self.bases.update(bases)

    @property
    def never_read(self) -> list[str]:
        """Return the fields that no record's description depends on."""
        return sorted(set(self.dropped) - set(self.read))


def without_each_field(payload: Any) -> Iterator[tuple[str, Any]]:
    """Yield each field of a payload, and the payload without it. CKAN's extras and the objects of a
    row are taken apart.
    """
    if isinstance(payload, dict):
        for key, value in payload.items():
            yield key, {name: item for name, item in payload.items() if name != key}
            yield from _without_nested(payload, key, value)
    elif isinstance(payload, Graph):
        own = payload.properties.get(payload.subject, {})
        for name in own:
            rest = {key: terms for key, terms in own.items() if key != name}
            yield (
                _prefixed(name),
                replace(payload, properties={**payload.properties, payload.subject: rest}),
            )
    else:
        yield from _without_elements(payload)


def _without_nested(row: Mapping[str, Any], key: str, value: Any) -> Iterator[tuple[str, Any]]:
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    if key == "extras":
        for name in dict.fromkeys(str(item.get("key")) for item in objects):
            yield name, {**row, key: [item for item in objects if item.get("key") != name]}
        return
    for name in dict.fromkeys(name for item in objects for name in item):
        rest = [
            {inner: part for inner, part in item.items() if inner != name}
            if isinstance(item, dict)
            else item
            for item in items
        ]
        yield f"{key}.{name}", {**row, key: rest if isinstance(value, list) else rest[0]}


def _prefixed(name: str) -> str:
    return next(
        (
            f"{prefix}:{name[len(iri) :]}"
            for prefix, iri in PREFIXES.items()
            if name.startswith(iri)
        ),
        name,
    )


def _element_name(node: _Element) -> str:
    """Return an element's name without its namespace; a DIM field's element and qualifier."""
    name = str(node.tag).rpartition("}")[2]
    if name == "field" and node.get("element"):
        return ".".join(filter(None, (node.get("element"), node.get("qualifier"))))
    return name


def _without_elements(root: _Element) -> Iterator[tuple[str, _Element]]:
    # some have one more wrapper
    holder = next(iter(root), root) if len(root) == 1 and len(root[0]) else root
    for name in dict.fromkeys(
        _element_name(child) for child in holder if isinstance(child.tag, str)
    ):
        copied = deepcopy(root)
        inner = copied[0] if holder is not root else copied
        for child in [
            child for child in inner if isinstance(child.tag, str) and _element_name(child) == name
        ]:
            inner.remove(child)
        yield name, copied


def fields_of(
    record: Record[Any], source: Source, words: Crosswalks
) -> tuple[list[str], list[str], Resource]:
    """Return the fields of a record that its description depends on, those that it does not, and
    the mapped record.

    Raises ParseError if the whole record cannot be mapped. A field without which it cannot is read.
    """
    mapper = MAPPINGS[source.mapping].prepare(source, words)
    resource = mapper(record)
    whole = describe(resource, words.iris, source.name)
    read: list[str] = []
    dropped: list[str] = []
    for name, payload in without_each_field(record.payload):
        try:
            same = (
                describe(mapper(replace(record, content=payload)), words.iris, source.name) == whole
            )
        except ParseError:
            same = False
        (dropped if same else read).append(name)
    return read, dropped, resource


def claims(resource: Resource) -> Iterator[Claim]:
    """Yield the links and coded values of a resource that state their basis."""
    values: list[Any] = [
        *resource.action_lines,
        *resource.goals,
        *resource.targets,
        *resource.countries,
    ]
    values += [party.kind for party in resource.parties]
    if isinstance(resource, Initiative):
        values += [resource.coverage, resource.status, *resource.activity_types]
    return (value for value in values if isinstance(value, Claim))


def recorded(definition: Path) -> Iterator[tuple[Record[Any], Source]]:
    """Yield the records of a registry that was recorded."""
    sys.path.insert(0, str(TESTS))
    replay = importlib.import_module("replay")
    source = load(definition)
    protocol, _ = check_compatible(source)
    with Fetch(NetworkSettings(transport=replay.transport()), pause=0) as fetch:
        for page in protocol.collect(source, fetch, None):
            yield from ((item, source) for item in page.items if isinstance(item, Record))


def count_fields(definitions: Iterable[Path], records: int) -> dict[str, FieldCounts]:
    """Return the counts by mapping, of at most *records* of each registry."""
    words, counts = Crosswalks(Iris()), dict[str, FieldCounts]()
    for definition in definitions:
        for number, (record, source) in enumerate(recorded(definition)):
            if number >= records:
                break
            try:
                read, dropped, resource = fields_of(record, source, words)
            except ParseError:
                continue  # withheld, with its reason, by the harvest
            name = source.mapping if source.mapping != "fields" else f"fields ({definition.stem})"
            counts.setdefault(name, FieldCounts()).add(
                read, dropped, (claim.basis.value for claim in claims(resource))
            )
    return counts


def main(
    records: Annotated[int, typer.Option(help="How many records of each registry.")] = 5,
    json: Json = False,
) -> None:
    """Print by mapping: records, fields read and dropped, and links by basis."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    definitions = sorted(
        file
        for file in (TESTS / "source_definitions").glob("*.toml")
        if file.stem not in _WITHOUT_REGISTRY
    )
    counts = count_fields(definitions, records)
    if json:
        rows = {
            name: {
                "records": result.records,
                "read": result.read,
                "never_read": result.never_read,
                "bases": result.bases,
            }
            for name, result in counts.items()
        }
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(
        "mapping",
        "records",
        "fields read",
        "fields never read",
        "declared",
        "crosswalked",
        "names of fields never read",
    )
    for name, result in sorted(counts.items()):
        bases = (str(result.bases[basis]) for basis in ("declared", "crosswalked"))
        table.add_row(
            name,
            str(result.records),
            str(len(result.read)),
            str(len(result.never_read)),
            *bases,
            ", ".join(result.never_read),
        )
    Console(width=200).print(table)


if __name__ == "__main__":
    typer.run(main)
