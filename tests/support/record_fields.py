"""The fields that the description of a record depends on: it is mapped again without each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.page_model import Record
from harvesters.payloads.graph import PREFIXES, Graph
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.describe import describe


def without_each_field(payload: Any) -> Iterator[tuple[str, Any]]:
    """Yield each field of a payload, and the payload without it. Each field of CKAN's extras and of
    the objects in a row is a field.
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
    """Return an element's name without its namespace; for a DIM field its element and qualifier."""
    name = str(node.tag).rpartition("}")[2]
    if name == "field" and node.get("element"):
        return ".".join(filter(None, (node.get("element"), node.get("qualifier"))))
    return name


def _without_elements(root: _Element) -> Iterator[tuple[str, _Element]]:
    # Some formats have one more element around the fields.
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
) -> tuple[list[str], list[str]]:
    """Return the fields that the description of a record depends on, and the other fields.

    The description depends on a field without which the record cannot be mapped. Raises ParseError
    if the whole record cannot be mapped.
    """
    mapper = MAPPINGS[source.mapping].prepare(source, words)
    whole = describe(mapper(record), words.iris, source.name)
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
    return read, dropped
