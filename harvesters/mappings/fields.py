"""Map records by the [fields] table of a source definition, without code: the fields of each class,
what is wrong with a table, and which fields of a record a mapping reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import Field

from harvesters.errors import SourceDefinitionError
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.schema import (
    FIELD_NAME,
    Part,
    Schema,
    compile_entry,
)
from harvesters.options import Options, Texts, expected, located, not_one_of, suggestion
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import Graph
from harvesters.payloads.paths import compile_path
from harvesters.payloads.value_parsing import KINDS
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Post, Resource
from vocab.schemes import crosswalks as crosswalk_names


class FieldsOptions(Options):
    """The options of a source with a [fields] table."""

    split: str | dict[str, Any] = Field(
        "",
        description="The separator of values in one text, e.g. `;` or a line break, or a table of one for each field.",
    )
    nothing: Texts = Field(
        (),
        description="Further words that stand for no value, beside N/A, None, not available and the like.",
    )
    crosswalk: Texts = Field(
        (),
        description="The crosswalk, or a list of them, that translates the words of the field `subjects`, e.g. `world-bank-sector`.",
    )
    dates: Texts = Field(
        (),
        description="The registry's date format or formats, if not ISO 8601 (strptime, or `milliseconds` since 1970).",
    )
    initiatives_of: str = Field(
        "",
        description="The source of the initiatives whose keys are in the field `initiatives`; without it this one.",
    )
    namespaces: dict[str, str] = Field(
        {},
        description="Prefixes of the paths, `prefix = address`; `dc`, `dct`, `xsi`, `xml` are known, for RDF many more.",
    )


# These fields may have a language tag, as in "title@en".
TEXTS = ("title", "description", "subjects", "venue", "content")
_COMMON = frozenset((
    "key", "kind", "title", "description", "issued", "modified", "lead", "lead_type", "lead_country", "lead_identifiers", "licence",
    "countries", "action_lines", "goals", "targets", "subjects", "pages", "partners", "funders", "languages", "identifiers", "related",
    "initiatives", "part_of",
))  # fmt: skip
_PLACED = _COMMON | {"start", "end", "latitude", "longitude", "place"}
# The names that a [fields] table may have, by the class of its records.
FIELDS: Mapping[type[Resource], frozenset[str]] = {
    Initiative: _PLACED | {
        "activity_types", "planned_start", "planned_end", "developed_in", "amounts", "status", "coverage",
        "prize_category", "prize_stage", "prize_year", "prize_date", "prize_edition", "prize_name",
    },
    Event: _PLACED | {"venue", "registration", "cancelled"},
    Document: _COMMON | {"type"},
    Post: _COMMON | {"content", "container"},
}  # fmt: skip
_NO_PATHS = frozenset(("kind", "key", "amounts"))
_WORD = re.compile(r"[\w.-]+(?::[\w.-]+)?")  # It matches a name in a path with its prefix.
_AMOUNT = {name: name for name in ("value", "currency", "name", "start", "end")}


def faults(source: Source, payload_type: Payload = Payload.ROW) -> Iterator[Reason]:
    """Yield a reason for each unknown field or invalid expression; it says how to correct it."""
    kind = source.fields.get("kind", "initiative")
    if not source.fields:
        stated = [Reason("mapping 'fields' needs a [fields] table, at least with 'title'")]
    elif kind not in KINDS:
        stated = [not_one_of(Reason("field %(name)s", name=repr("kind")), kind, KINDS)]
    else:
        stated = [*_table_faults(source, FIELDS[KINDS[kind]], payload_type)]
    yield from (located(source.name, fault) for fault in stated)


def _table_faults(source: Source, known: frozenset[str], payload_type: Payload) -> Iterator[Reason]:
    options = FieldsOptions.of(source)
    names = crosswalk_names() if options.crosswalk else []
    for name in (name for name in options.crosswalk if name not in names):
        near = suggestion(name, names)
        yield Reason("unknown crosswalk %(name)s; %(suggestion)s", name=repr(name), suggestion=near)
    for name, mark in options.split.items() if isinstance(options.split, dict) else ():
        if name not in known:
            yield _unknown_field(f"split.{name}", name, known)
        elif not isinstance(mark, str):
            yield expected(f"split.{name}", mark, "text")
    for name, text in source.fields.items():
        fault = _field_fault(name, known, payload_type)
        try:
            if fault is None and name != "kind":
                where = Reason("field %(name)s", name=repr(name))
                compile_path(text, where, payload_type, options.namespaces)
        except SourceDefinitionError as error:
            fault = error.reason
        if fault:
            yield fault


def _unknown_field(written: str, name: str, known: frozenset[str]) -> Reason:
    near = suggestion(name, known)
    return Reason("unknown field %(name)s; %(suggestion)s", name=repr(written), suggestion=near)


def _field_fault(name: str, known: frozenset[str], payload_type: Payload) -> Reason | None:
    match = FIELD_NAME.match(name)
    if not match or match[1] not in known:
        return _unknown_field(name, name, known)
    if match[2] and match[1] not in TEXTS:
        return Reason(
            "field %(name)s takes no language; only %(names)s do",
            name=repr(name),
            names=", ".join(TEXTS),
        )
    if payload_type is not Payload.ROW and name == "key":
        return Reason("field 'key' is not allowed here: the protocol's own identifier is the key")
    if payload_type is not Payload.ROW and name == "amounts":
        return Reason("field 'amounts' reads objects, which only rows have")
    return None


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Any]], Resource]:
    """Return the function that maps a row, an XML element or a graph by the source's [fields]
    table.
    """

    @cache
    def mapper(payload_type: Payload) -> Callable[[Record[Any]], Resource]:
        return _user_schema(source, payload_type).build_mapper(source, crosswalks)

    return lambda record: mapper(_payload_type(record.payload))(record)


def _user_schema(source: Source, payload_type: Payload) -> Schema:
    options = FieldsOptions.of(source)
    return Schema(
        payload_type,
        {name: text for name, text in source.fields.items() if name not in _NO_PATHS},
        {"amounts": [Part(source.fields["amounts"], _AMOUNT)]}
        if "amounts" in source.fields
        else {},
        kind=source.fields.get("kind", "initiative"),
        options=FieldsOptions,
        split=options.split,
        namespaces=options.namespaces,
        crosswalks=options.crosswalk,
        dates=options.dates,
        nothing=frozenset(word.casefold().rstrip(".") for word in options.nothing),
        initiatives_of=options.initiatives_of,
        datestamp=True,
    )


def _payload_type(payload: object) -> Payload:
    if isinstance(payload, dict):
        return Payload.ROW
    return Payload.GRAPH if isinstance(payload, Graph) else Payload.XML


def unmatched_fields(source: Source, payloads: Sequence[Any]) -> list[str]:
    """Return the names of the source's [fields] of which no payload has a value."""
    paths = {name: text for name, text in source.fields.items() if name not in _NO_PATHS}
    schemas = [_user_schema(source, _payload_type(payload)) for payload in payloads]
    return [
        name
        for name, text in paths.items()
        if all(
            value in ("", {})
            for schema, payload in zip(schemas, payloads, strict=True)
            for value in compile_entry(source, schema, name, text)(payload)
        )
    ]


MAPPING = RecordMapping(build_mapper, frozenset(Payload), options=FieldsOptions)
