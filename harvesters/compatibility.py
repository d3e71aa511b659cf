"""Pairs: a card's protocol and mapping, checked against each other and against what the card says to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harvesters.errors import SourceDefinitionError
from harvesters.mappings import fields
from harvesters.mappings.registry import MAPPINGS, RecordMapping
from harvesters.option_schema import Option, option_types
from harvesters.payloads.value_parsing import KINDS
from harvesters.protocols.registry import PROTOCOLS, Protocol
from harvesters.source import Source

_NAMED: Mapping[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a table"}


def check_compatible(source: Source) -> tuple[Protocol, RecordMapping]:
    """Give the protocol and the mapping of a card, the protocol as this card can use it.

    Raises SourceDefinitionError where there is no such row, where the mapping cannot read what the protocol brings, or where options
    and fields are none that these two know; the message names the card, the key and the cure.
    """
    protocol = _chosen(source, _row(source, "protocol", source.protocol, PROTOCOLS))
    reader = _row(source, "mapping", source.mapping, MAPPINGS)
    if protocol.payload_type not in reader.accepts:
        fit = ", ".join(name for name, other in MAPPINGS.items() if protocol.payload_type in other.accepts)
        raise SourceDefinitionError(
            f"{source.name}: mapping {source.mapping!r} cannot read what protocol {source.protocol!r} brings,"
            f" {protocol.payload_type.value}; these can: {fit}"
        )
    _options(source, {**reader.options, **protocol.options})
    _fields(source, protocol)
    protocol.check(source)
    return replace(protocol, incremental=protocol.incremental and protocol.is_incremental(source)), reader


def _chosen(source: Source, protocol: Protocol) -> Protocol:
    return protocol if protocol.payload_type_for is None else replace(protocol, payload_type=protocol.payload_type_for(source))


def _row(source: Source, key: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise SourceDefinitionError(f"{source.name}: {key} {name!r} is unknown; known are {', '.join(table)}")
    return table[name]


def _options(source: Source, known: Mapping[str, Option]) -> None:
    for name, value in source.options.items():
        if name not in known:
            told = ", ".join(sorted(known)) or "none"
            raise SourceDefinitionError(f"{source.name}: unknown option {name!r}; {source.protocol} with {source.mapping} knows {told}")
        if type(value) not in option_types(known[name]):
            wanted = " or ".join(_NAMED[kind] for kind in option_types(known[name]))
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value!r}; write {wanted}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value!r}; write a list of texts")
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value}; write a number from 0 up")
    for name, option in known.items():
        if option.required and name not in source.options:
            raise SourceDefinitionError(f"{source.name}: option {name!r} is missing: {option.help}")
    if source.options.get("kind", "initiative") not in KINDS:
        raise SourceDefinitionError(f"{source.name}: option 'kind' is {source.options['kind']!r}; it is one of {', '.join(KINDS)}")


def _fields(source: Source, protocol: Protocol) -> None:
    if source.mapping == "fields":
        fields.check(source, protocol.payload_type)
    elif source.fields:
        raise SourceDefinitionError(
            f"{source.name}: [fields] is for mapping 'fields'; mapping {source.mapping!r} has its own, so remove the table"
        )
