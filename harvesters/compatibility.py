"""Check a source's protocol and mapping against each other and against its options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harvesters.errors import SourceDefinitionError
from harvesters.mappings import fields
from harvesters.mappings.mapping import MAPPINGS, RecordMapping
from harvesters.mappings.topics import model_fault
from harvesters.options import located, suggestion
from harvesters.protocols.protocol import PROTOCOLS, Protocol
from harvesters.reasons import Reason
from harvesters.source import Source


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
    unknown = [
        located(source.name, Reason(text, name=repr(name), suggestion=suggestion(name, registry)))
        for text, name, registry in (
            ("protocol %(name)s is unknown; %(suggestion)s", source.protocol, PROTOCOLS),
            ("mapping %(name)s is unknown; %(suggestion)s", source.mapping, MAPPINGS),
        )
        if name not in registry
    ]
    if unknown:
        return unknown
    try:
        mapping, protocol = MAPPINGS[source.mapping], PROTOCOLS[source.protocol]
    except SourceDefinitionError as error:
        return [located(source.name, fault) for fault in error.faults]
    faults = [*_option_faults(source, mapping, protocol)]
    try:
        protocol = _resolve_payload(source, protocol)
    except SourceDefinitionError:  # The faults of the options have the same causes.
        return faults
    if protocol.payload_type not in mapping.accepts:
        return [_payload_fault(source, protocol), *faults]
    try:
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
    return located(
        source.name,
        Reason(
            "mapping %(mapping)s cannot read the payload of protocol %(protocol)s, %(payload)s; "
            "these can: %(mappings)s",
            mapping=repr(source.mapping),
            protocol=repr(source.protocol),
            payload=payload.value,
            mappings=fit,
        ),
    )


def _option_faults(source: Source, mapping: RecordMapping, protocol: Protocol) -> Iterator[Reason]:
    known: set[str] = set()
    for model in (mapping.options, protocol.options):
        known |= model.names().keys()
        try:
            model.of(source)
        except SourceDefinitionError as error:
            yield from error.faults
    for name in source.options:
        if name not in known:
            yield located(
                source.name,
                Reason(
                    "unknown option %(name)s of %(protocol)s with %(mapping)s; %(suggestion)s",
                    name=repr(name),
                    protocol=source.protocol,
                    mapping=source.mapping,
                    suggestion=suggestion(name, known),
                ),
            )


def _field_faults(source: Source, protocol: Protocol) -> Iterator[Reason]:
    if source.mapping == "fields":
        yield from fields.faults(source, protocol.payload_type)
    elif source.fields:
        yield located(
            source.name,
            Reason(
                "[fields] is for mapping 'fields'; mapping %(mapping)s has its own, so remove the table",
                mapping=repr(source.mapping),
            ),
        )
