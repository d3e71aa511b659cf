"""Check a source's protocol and mapping against each other and against its options."""

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

_TYPE_NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def check_compatible(source: Source) -> tuple[Protocol, RecordMapping]:
    """Return the protocol and the mapping of a source, the protocol as this source can use it.

    Raises SourceDefinitionError if either is unknown, if the mapping does not accept the protocol's payload, or if options or
    fields are unknown or invalid; the message names the source, the key and the remedy.
    """
    protocol = _resolve_payload(source, _find_row(source, "protocol", source.protocol, PROTOCOLS))
    reader = _find_row(source, "mapping", source.mapping, MAPPINGS)
    if protocol.payload_type not in reader.accepts:
        fit = ", ".join(name for name, other in MAPPINGS.items() if protocol.payload_type in other.accepts)
        raise SourceDefinitionError(
            f"{source.name}: mapping {source.mapping!r} cannot read what protocol {source.protocol!r} brings,"
            f" {protocol.payload_type.value}; these can: {fit}"
        )
    _check_options(source, {**reader.options, **protocol.options})
    _check_fields(source, protocol)
    protocol.check(source)
    return replace(protocol, incremental=protocol.incremental and protocol.is_incremental(source)), reader


def _resolve_payload(source: Source, protocol: Protocol) -> Protocol:
    return protocol if protocol.payload_type_for is None else replace(protocol, payload_type=protocol.payload_type_for(source))


def _find_row(source: Source, key: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise SourceDefinitionError(f"{source.name}: {key} {name!r} is unknown; known are {', '.join(table)}")
    return table[name]


def _check_options(source: Source, known: Mapping[str, Option]) -> None:
    for name, value in source.options.items():
        if name not in known:
            known_names = ", ".join(sorted(known)) or "none"
            raise SourceDefinitionError(
                f"{source.name}: unknown option {name!r}; {source.protocol} with {source.mapping} knows {known_names}"
            )
        if type(value) not in option_types(known[name]):
            expected = " or ".join(_TYPE_NAMES[kind] for kind in option_types(known[name]))
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value!r}; write {expected}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value!r}; write a list of texts")
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {value}; write a number from 0 up")
    for name, option in known.items():
        if option.required and name not in source.options:
            raise SourceDefinitionError(f"{source.name}: option {name!r} is missing: {option.help}")
    if source.options.get("kind", "initiative") not in KINDS:
        raise SourceDefinitionError(f"{source.name}: option 'kind' is {source.options['kind']!r}; it is one of {', '.join(KINDS)}")


def _check_fields(source: Source, protocol: Protocol) -> None:
    if source.mapping == "fields":
        fields.check(source, protocol.payload_type)
    elif source.fields:
        raise SourceDefinitionError(
            f"{source.name}: [fields] is for mapping 'fields'; mapping {source.mapping!r} has its own, so remove the table"
        )
