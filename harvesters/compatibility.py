"""Check a source's protocol and mapping against each other and against its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harvesters.errors import SourceDefinitionError
from harvesters.mappings import field_definitions
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.registry import MAPPINGS
from harvesters.mappings.topics.suggest import model_fault
from harvesters.option_schema import Option, option_types
from harvesters.payloads.value_parsing import KINDS
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.registry import PROTOCOLS
from harvesters.source import Source, suggestion

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

    Raises SourceDefinitionError if either is unknown, if the mapping does not accept the protocol's
    payload, or if options or fields are unknown or invalid; the message names the source, the key
    and the remedy of each fault.
    """
    if faults := compatibility_faults(source):
        raise SourceDefinitionError("\n".join(faults))
    protocol = _resolve_payload(source, PROTOCOLS[source.protocol])
    incremental = protocol.incremental and protocol.is_incremental(source)
    return replace(protocol, incremental=incremental), MAPPINGS[source.mapping]


def compatibility_faults(source: Source) -> list[str]:
    """Return a message for each fault that ``check_compatible`` would raise."""
    tables: dict[str, Mapping[str, Any]] = {"protocol": PROTOCOLS, "mapping": MAPPINGS}
    names = {"protocol": source.protocol, "mapping": source.mapping}
    unknown = [
        f"{source.name}: {key} {names[key]!r} is unknown; {suggestion(names[key], table)}"
        for key, table in tables.items()
        if names[key] not in table
    ]
    if unknown:
        return unknown
    mapping = MAPPINGS[source.mapping]
    faults = [*_option_faults(source, {**mapping.options, **PROTOCOLS[source.protocol].options})]
    try:
        protocol = _resolve_payload(source, PROTOCOLS[source.protocol])
        if protocol.payload_type not in mapping.accepts:
            return [_payload_fault(source, protocol), *faults]
        faults += _field_faults(source, protocol)
        if not faults:
            protocol.check(source)
    except SourceDefinitionError as error:
        faults.append(str(error))
    if fault := model_fault(source):
        faults.append(f"{source.name}: suggest is 'model', but {fault}")
    return faults


def _resolve_payload(source: Source, protocol: Protocol) -> Protocol:
    return (
        protocol
        if protocol.payload_type_for is None
        else replace(protocol, payload_type=protocol.payload_type_for(source))
    )


def _payload_fault(source: Source, protocol: Protocol) -> str:
    payload = protocol.payload_type
    fit = ", ".join(name for name, other in MAPPINGS.items() if payload in other.accepts)
    return (
        f"{source.name}: mapping {source.mapping!r} cannot read what protocol {source.protocol!r}"
        f" brings, {payload.value}; these can: {fit}"
    )


def _option_faults(source: Source, known: Mapping[str, Option]) -> Iterator[str]:
    for name, value in source.options.items():
        if name not in known:
            use = f"{source.protocol} with {source.mapping}"
            yield f"{source.name}: unknown option {name!r} of {use}; {suggestion(name, known)}"
        elif fault := _value_fault(value, known[name]):
            yield f"{source.name}: option {name!r} is {value!r}; write {fault}"
    for name, option in known.items():
        if option.required and name not in source.options:
            yield f"{source.name}: option {name!r} is missing: {option.help}"
    if (kind := source.options.get("kind", "initiative")) not in KINDS:
        yield f"{source.name}: option 'kind' is {kind!r}; it is one of {', '.join(KINDS)}"


def _value_fault(value: object, option: Option) -> str | None:
    """Return what to write instead of an option's value, None if it is valid."""
    if type(value) not in option_types(option):
        return " or ".join(_TYPE_NAMES[kind] for kind in option_types(option))
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        return "a list of texts"
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return "a number from 0 up"
    return None


def _field_faults(source: Source, protocol: Protocol) -> Iterator[str]:
    if source.mapping == "fields":
        yield from field_definitions.faults(source, protocol.payload_type)
    elif source.fields:
        yield (
            f"{source.name}: [fields] is for mapping 'fields'; mapping {source.mapping!r} has its"
            " own, so remove the table"
        )
