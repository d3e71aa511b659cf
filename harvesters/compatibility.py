"""Check a source's protocol and mapping against each other and against its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce

from harvesters.definition_faults import expected, located, not_one_of, option_named, suggestion
from harvesters.errors import SourceDefinitionError
from harvesters.mappings import field_definitions
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.registry import MAPPINGS
from harvesters.mappings.topics.suggest import model_fault
from harvesters.option_schema import Option, option_types
from harvesters.options import Options
from harvesters.payloads.value_parsing import KINDS
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.registry import PROTOCOLS
from harvesters.reasons import Reason
from harvesters.source import Source

_KINDS: Mapping[type, str] = {
    str: "kind_text",
    int: "kind_whole",
    float: "kind_number",
    bool: "kind_bool",
    list: "kind_list",
    dict: "kind_table",
}


def check_compatible(source: Source) -> tuple[Protocol, RecordMapping]:
    """Return the protocol and the mapping of a source, the protocol as this source can use it.

    Raises SourceDefinitionError if either is unknown, if the mapping does not accept the protocol's
    payload, or if options or fields are unknown or invalid; the message names the source, the key
    and the remedy of each fault.
    """
    if faults := compatibility_faults(source):
        raise SourceDefinitionError(*faults)
    protocol = _resolve_payload(source, PROTOCOLS[source.protocol])
    incremental = protocol.incremental and protocol.is_incremental(source)
    return replace(protocol, incremental=incremental), MAPPINGS[source.mapping]


def compatibility_faults(source: Source) -> list[Reason]:
    """Return a reason for each fault that ``check_compatible`` would raise."""
    unknown = []
    if source.protocol not in PROTOCOLS:
        near = suggestion(source.protocol, PROTOCOLS)
        unknown.append(
            located(
                source.name,
                Reason(
                    "protocol %(name)s is unknown; %(suggestion)s",
                    name=repr(source.protocol),
                    suggestion=near,
                ),
            )
        )
    if source.mapping not in MAPPINGS:
        near = suggestion(source.mapping, MAPPINGS)
        unknown.append(
            located(
                source.name,
                Reason(
                    "mapping %(name)s is unknown; %(suggestion)s",
                    name=repr(source.mapping),
                    suggestion=near,
                ),
            )
        )
    if unknown:
        return unknown
    try:
        mapping, protocol = MAPPINGS[source.mapping], PROTOCOLS[source.protocol]
    except SourceDefinitionError as error:
        return [located(source.name, fault) for fault in error.faults]
    faults: list[Reason] = []
    models = [mapping.options, protocol.options]
    for model in models:
        if isinstance(model, type):
            try:
                model.of(source)
            except SourceDefinitionError as error:
                faults.extend(error.faults)
    faults += _option_faults(source, models)
    try:
        protocol = _resolve_payload(source, protocol)
    except SourceDefinitionError:
        return faults
    try:
        if protocol.payload_type not in mapping.accepts:
            return [_payload_fault(source, protocol), *faults]
        faults += _field_faults(source, protocol)
        if not faults:
            protocol.check(source)
    except SourceDefinitionError as error:
        faults.extend(error.faults)
    if fault := model_fault(source):
        faults.append(
            located(source.name, Reason("suggest is 'model', but %(error)s", error=fault))
        )
    return faults


def _resolve_payload(source: Source, protocol: Protocol) -> Protocol:
    return (
        protocol
        if protocol.payload_type_for is None
        else replace(protocol, payload_type=protocol.payload_type_for(source))
    )


def _payload_fault(source: Source, protocol: Protocol) -> Reason:
    payload = protocol.payload_type
    fit = ", ".join(name for name, other in MAPPINGS.items() if payload in other.accepts)
    values = {
        "mapping": repr(source.mapping),
        "protocol": repr(source.protocol),
        "payload": payload.value,
        "mappings": fit,
    }
    return located(
        source.name,
        Reason(
            "mapping %(mapping)s cannot read what protocol %(protocol)s brings, %(payload)s; "
            "these can: %(mappings)s",
            **values,
        ),
    )


def _option_faults(
    source: Source, models: Sequence[Mapping[str, Option] | type[Options]]
) -> Iterator[Reason]:
    known: dict[str, Option | None] = {}
    for model in models:
        known |= dict.fromkeys(model.names()) if isinstance(model, type) else model
    for name, value in source.options.items():
        option = known.get(name)
        if name not in known:
            values = {"name": repr(name), "protocol": source.protocol, "mapping": source.mapping}
            yield located(
                source.name,
                Reason(
                    "unknown option %(name)s of %(protocol)s with %(mapping)s; %(suggestion)s",
                    **values,
                    suggestion=suggestion(name, known),
                ),
            )
        elif option is not None and (kind := _expected_kind(value, option)):
            yield located(source.name, expected(option_named(name), value, kind))
    for name, option in known.items():
        if option is not None and option.required and name not in source.options:
            yield located(
                source.name,
                Reason("option %(name)s is missing: %(help)s", name=repr(name), help=option.help),
            )
    if known.get("kind") and (kind := source.options.get("kind", "initiative")) not in KINDS:
        yield located(source.name, not_one_of(option_named("kind"), kind, KINDS))


def _expected_kind(value: object, option: Option) -> Reason | None:
    """Return what to write instead of an option's value, None if it is valid."""
    if type(value) not in option_types(option):
        first, *others = (Reason(_KINDS[kind]) for kind in option_types(option))
        return reduce(
            lambda one, other: Reason("%(first)s or %(second)s", first=one, second=other),
            others,
            first,
        )
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        return Reason("a list of texts")
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return Reason("a number from 0 up")
    return None


def _field_faults(source: Source, protocol: Protocol) -> Iterator[Reason]:
    if source.mapping == "fields":
        yield from field_definitions.faults(source, protocol.payload_type)
    elif source.fields:
        yield located(
            source.name,
            Reason(
                "[fields] is for mapping 'fields'; mapping %(mapping)s has its own, so remove the table",
                mapping=repr(source.mapping),
            ),
        )
