"""Map records by the [fields] table of a source definition, without code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harvesters.mappings.field_definitions import FieldsOptions, record_class
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.schema import FieldTable, Part, Schema, compile_entry
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import Graph
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Resource

_NO_PATHS = frozenset(("kind", "key", "amounts"))
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


MAPPING = RecordMapping(build_mapper, frozenset(Payload), options=FieldsOptions)
