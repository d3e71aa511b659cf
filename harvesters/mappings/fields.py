"""Map records by the [fields] table of a source definition, without code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lxml.etree import _Element

from harvesters.mappings.field_definitions import FieldsOptions, record_class
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.schema import FieldTable, Part, Schema, compile_entry
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import Graph
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Resource

_NO_PATHS = frozenset(("kind", "key", "amounts"))
_WORD = re.compile(r"[\w.-]+(?::[\w.-]+)?")  # a name in a path, with its prefix
_AMOUNT = {name: name for name in ("value", "currency", "name", "start", "end")}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Any]], Resource]:
    """Return the function that maps a row, an XML element or a graph by the source's [fields]
    table.
    """
    kind = record_class(source)
    tables: dict[Payload, FieldTable] = {}  # by payload type, known from the first record

    def map_record(record: Record[Any]) -> Resource:
        row = record.payload
        payload_type = _payload_type(row)
        if payload_type not in tables:
            tables[payload_type] = FieldTable(
                source, crosswalks, _user_schema(source, payload_type)
            )
        return tables[payload_type].map_record(kind, record, row)

    return map_record


def _user_schema(source: Source, payload_type: Payload) -> Schema:
    options = FieldsOptions.of(source)
    return Schema(
        payload_type,
        {name: text for name, text in source.fields.items() if name not in _NO_PATHS},
        {"amounts": [Part(source.fields["amounts"], _AMOUNT)]}
        if "amounts" in source.fields
        else {},
        split=options.split,
        namespaces=options.namespaces,
        crosswalks=options.crosswalk,
        dates=options.dates,
        nothing=frozenset(word.casefold().rstrip(".") for word in options.nothing),
        initiatives_of=options.initiatives_of,
        datestamp=True,
    )


def _payload_type(payload: object) -> Payload:
    return (
        Payload.ROW
        if isinstance(payload, dict)
        else Payload.GRAPH
        if isinstance(payload, Graph)
        else Payload.XML
    )


def fields_without_values(source: Source, payloads: Sequence[Any]) -> list[str]:
    """Return the names of the source's [fields] that match nothing in any of *payloads*."""
    if not payloads:
        return []
    schema = _user_schema(source, _payload_type(payloads[0]))
    finds = {
        name: compile_entry(source, schema, name, text) for name, text in schema.fields.items()
    }
    return [
        name
        for name, find in finds.items()
        if all(find(payload) in (None, "", [], {}) for payload in payloads)
    ]


def unread_fields(
    source: Source, records: Iterable[tuple[str, Any, Mapping[str, list[str]]]]
) -> list[str]:
    """Return the fields that the source's [fields] read in none of *records*: their keys, their
    payloads, and the values of their fields, by the names that their publisher has for them.

    A field is read if a path selects one of its values, or has all of its names; one with the key
    is read by the protocol.
    """
    paths = [text for name, text in source.fields.items() if name != "kind"]
    words = [set(_WORD.findall(path)) for path in paths]
    unread: dict[str, bool] = {}
    for key, payload, values in records:
        schema = _user_schema(source, _payload_type(payload))
        finds = [compile_entry(source, schema, "title", path) for path in paths]
        texts = {key, *(text for find in finds for text in _leaves(find(payload)))}
        for name, listed in values.items():
            names = set(_WORD.findall(name))
            is_read = not texts.isdisjoint(listed) or any(names <= each for each in words)
            unread[name] = unread.get(name, True) and not is_read
    return [name for name, is_unread in unread.items() if is_unread]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif isinstance(value, _Element):
        yield from (str(text).strip() for text in value.itertext())
    else:
        yield str(getattr(value, "value", value)).strip()


MAPPING = RecordMapping(build_mapper, frozenset(Payload), options=FieldsOptions)
