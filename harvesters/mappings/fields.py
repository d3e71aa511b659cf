"""Map records by the [fields] table of a source definition, without code: the fields of each class,
what is wrong with a table, and which fields of a record a mapping reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import SourceDefinitionError
from harvesters.mappings.mapping import RecordMapping
from harvesters.mappings.schema import (
    FIELD_NAME,
    Part,
    Schema,
    compile_entry,
    field_location,
)
from harvesters.options import Options, Texts, expected, located, not_one_of, suggestion
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import PREFIXES, Graph
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


def record_class(source: Source) -> type[Resource]:
    """Return the class of the source's records. Raise SourceDefinitionError if it is unknown."""
    name = source.fields.get("kind", "initiative")
    if name not in KINDS:
        field = Reason("field %(name)s", name=repr("kind"))
        raise SourceDefinitionError(located(source.name, not_one_of(field, name, KINDS)))
    return KINDS[name]


def faults(source: Source, payload_type: Payload = Payload.ROW) -> Iterator[Reason]:
    """Yield a reason for each unknown field or invalid expression; it says how to correct it."""
    if not source.fields:
        fault = Reason("mapping 'fields' needs a [fields] table, at least with 'title'")
        yield located(source.name, fault)
        return
    try:
        known = FIELDS[record_class(source)]
    except SourceDefinitionError as error:
        yield from error.faults
        return
    options, names = FieldsOptions.of(source), crosswalk_names()
    for name in (name for name in options.crosswalk if name not in names):
        near = suggestion(name, names)
        fault = Reason(
            "unknown crosswalk %(name)s; %(suggestion)s", name=repr(name), suggestion=near
        )
        yield located(source.name, fault)
    for name, mark in options.split.items() if isinstance(options.split, dict) else ():
        where = f"split.{name}"
        if name not in known:
            yield located(source.name, _unknown_field(where, name, known))
        elif not isinstance(mark, str):
            yield located(source.name, expected(where, mark, "text"))
    for name, text in source.fields.items():
        if stated := _field_fault(name, known, payload_type):
            yield located(source.name, stated)
        elif name != "kind":
            try:
                where_field = field_location(source, name)
                compile_path(text, where_field, payload_type, options.namespaces)
            except SourceDefinitionError as error:
                yield from error.faults


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


class FieldComparison(NamedTuple):
    """What some records have and the source's [fields] read: the names of those [fields] that are
    *unmatched*, of the records' fields that are *unread*, and of all of these.
    """

    unmatched: list[str]
    unread: list[str]
    names: list[str]


def compare_fields(source: Source, records: Iterable[Record[Any]]) -> FieldComparison:
    """Compare the fields of records with the source's [fields].

    A record's field is read if a path selects one of its values, or has all of its names; one with
    the key is read by the protocol.
    """
    paths = {name: text for name, text in source.fields.items() if name != "kind"}
    words = [set(_WORD.findall(path)) for path in paths.values()]
    unmatched, unread = [name for name in paths if name not in _NO_PATHS], dict[str, bool]()
    for record in records:
        payload = record.payload
        schema = _user_schema(source, _payload_type(payload))
        selected = {
            name: compile_entry(source, schema, name, path)(payload) for name, path in paths.items()
        }
        unmatched = [
            name for name in unmatched if all(value in ("", {}) for value in selected[name])
        ]
        texts = {record.key, *(text for values in selected.values() for text in _leaves(values))}
        for name, listed in fields_of(payload).items():
            names = set(_WORD.findall(name))
            is_read = not texts.isdisjoint(listed) or any(names <= each for each in words)
            unread[name] = unread.get(name, True) and not is_read
    return FieldComparison(unmatched, [name for name in unread if unread[name]], sorted(unread))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif isinstance(value, _Element):
        yield from (str(text).strip() for text in value.itertext())
    else:
        yield str(getattr(value, "value", value)).strip()


MAX_FIELDS = 300  # fields of a record that are left out, one after the other
_MAX_ALTERNATIVES = 5  # alternative fields: one of them is enough
_MAX_KEPT = 256  # sets of fields whose lost statements are cached
_MAX_VALUES, _MAX_LENGTH = 5, 300  # values of a field, and characters of each, in a trace
# Returns the statements to which a record is mapped; raises the errors of the mapping.
Statements = Callable[[Record[Any]], frozenset[str]]


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """A field of a record: its name, the beginning of its values, and the *statements* that are
    missing or different without it.

    *is_required*: without the field, the record cannot be mapped.
    """

    name: str
    values: tuple[str, ...]
    statements: frozenset[str]
    is_required: bool = False

    @property
    def is_read(self) -> bool:
        return self.is_required or bool(self.statements)


class FieldTracing:
    """Finds the fields of *record* from which its statements come: fields are left out, and the
    record is mapped again. *errors* are what a mapping raises.

    *statements* are all of them, *traces* has a trace of each field, in the order of the record. A field is named as its publisher
    names it: ``results[].name`` in JSON, a column's name in a table, ``description/narrative`` or
    ``@iso`` in XML, a prefixed property in RDF. The record is unchanged afterwards.
    """

    def __init__(
        self, record: Record[Any], statements: Statements, errors: tuple[type[Exception], ...]
    ) -> None:
        record = record.parsed()
        self.statements = whole = statements(record)

        # The same fields are left out for many statements.
        @lru_cache(_MAX_KEPT)
        def lost_without(names: frozenset[str]) -> frozenset[str] | None:
            try:
                with _without(record, names) as rest:
                    return whole - statements(rest)
            except errors:
                return None

        self._lost_without = lost_without
        self.traces: list[FieldTrace] = []
        for name, values in islice(fields_of(record.payload).items(), MAX_FIELDS):
            lost = lost_without(frozenset((name,)))
            shortened = tuple(value[:_MAX_LENGTH] for value in values[:_MAX_VALUES])
            self.traces.append(
                FieldTrace(name, shortened, whole if lost is None else lost, lost is None)
            )

    def fields_behind(self, statement: str) -> list[FieldTrace]:
        """Return the fields without which *statement* is not made, the likeliest first.

        First come the fields with a value that the statement contains, then those that fewer
        statements depend on.
        """

        def rank(trace: FieldTrace) -> tuple[bool, bool, int]:
            has_value = any(value in statement for value in trace.values)
            return trace.is_required, not has_value, len(trace.statements)

        return sorted((trace for trace in self.traces if statement in trace.statements), key=rank)

    def alternatives(self, statement: str) -> list[FieldTrace]:
        """Return the alternative fields of a statement of the record, at most five: each alone is
        enough for it, so that leaving out one of them loses nothing.

        The result is empty if the statement does not depend on any field that can be left out: the
        mapping makes it of every record.
        """
        rest, results = [t for t in self.traces if not t.is_required], list[FieldTrace]()

        def is_made(left_out: Sequence[FieldTrace]) -> bool:
            lost = self._lost_without(frozenset(trace.name for trace in left_out))
            return lost is not None and statement not in lost

        if is_made(rest):
            return []
        while len(results) < _MAX_ALTERNATIVES and is_made(results):
            # The statement is made without the first *low* fields, but not without the first *high*.
            low, high = 0, len(rest)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if is_made([*results, *rest[:middle]]) else (low, middle)
            results.insert(0, rest.pop(high - 1))
        return results


def fields_of(payload: Any) -> dict[str, list[str]]:
    """Return the names of a record's fields with their values as text.

    >>> fields_of({"id": 7, "places": [{"iso": "KE"}, {"iso": "UG"}], "tags": ["a", "b"], "note": None})
    {'id': ['7'], 'places[].iso': ['KE', 'UG'], 'tags[]': ['a', 'b']}
    """
    fields: dict[str, list[str]] = {}
    if isinstance(payload, _Element):
        for name, element, attribute in _xml_nodes(payload):
            value = (element.text or "") if attribute is None else str(element.get(attribute))
            fields.setdefault(name, []).append(value.strip())
    elif isinstance(payload, Graph):
        for properties in payload.properties.values():
            for name, terms in properties.items():
                values = (str(getattr(term, "value", term)) for term in terms)
                fields.setdefault(_prefixed(name), []).extend(values)
    else:
        _row_without(payload, "", frozenset(), fields)
    return fields


@contextmanager
def _without(record: Record[Any], names: Set[str]) -> Iterator[Record[Any]]:
    """Yield the record without some fields. XML is changed in its tree, so that paths to its
    ancestors still lead there, and repaired.
    """
    payload = record.payload
    if isinstance(payload, _Element):
        with _blanked(payload, names):
            yield record
    elif isinstance(payload, Graph):
        yield replace(record, content=_graph_without(payload, names))
    else:
        yield replace(record, content=_row_without(payload, "", names, {}))


def _row_without(node: Any, path: str, names: Set[str], fields: dict[str, list[str]]) -> Any:
    """Return a row without some fields, and add the values of the others to *fields*."""
    if isinstance(node, Mapping):
        below = {key: f"{path}.{key}" if path else str(key) for key in node}
        return {
            key: _row_without(value, below[key], names, fields)
            for key, value in node.items()
            if below[key] not in names
        }
    if isinstance(node, list | tuple):
        item = f"{path}[]"
        return [_row_without(each, item, names, fields) for each in node if item not in names]
    if node is not None and node != "":
        fields.setdefault(path, []).append(str(node))
    return node


def _xml_nodes(root: _Element) -> Iterator[tuple[str, _Element, str | None]]:
    """Yield the name of each text and attribute below *root*, its element, and the attribute, None
    for a text.
    """
    stack: list[tuple[str, _Element]] = [("", root)]
    while stack:
        path, element = stack.pop()
        for attribute in element.attrib:
            yield f"{path}/@{_local(str(attribute))}".lstrip("/"), element, str(attribute)
        if (element.text or "").strip():
            yield path or _local(str(element.tag)), element, None
        children = [child for child in element if isinstance(child.tag, str)]
        stack += [
            (f"{path}/{_local(str(child.tag))}".lstrip("/"), child) for child in reversed(children)
        ]


@contextmanager
def _blanked(root: _Element, names: Set[str]) -> Iterator[None]:
    nodes = [(node, attribute) for name, node, attribute in _xml_nodes(root) if name in names]
    before = [(node, node.text, dict(node.attrib)) for node, _ in nodes]
    for node, attribute in nodes:
        if attribute is None:
            node.text = None
        else:
            del node.attrib[attribute]
    try:
        yield
    finally:
        for node, text, attributes in before:
            node.text = text
            node.attrib.clear()
            node.attrib.update(attributes)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _graph_without(graph: Graph, names: Set[str]) -> Graph:
    properties = {
        node: {iri: terms for iri, terms in about.items() if _prefixed(iri) not in names}
        for node, about in graph.properties.items()
    }
    return replace(graph, properties=properties)


def _prefixed(iri: str) -> str:
    """Return a property's prefixed name, its IRI where no prefix is known.

    >>> _prefixed("http://purl.org/dc/terms/title"), _prefixed("urn:a")
    ('dct:title', 'urn:a')
    """
    return next(
        (
            f"{prefix}:{iri.removeprefix(start)}"
            for prefix, start in PREFIXES.items()
            if iri.startswith(start)
        ),
        iri,
    )


MAPPING = RecordMapping(build_mapper, frozenset(Payload), options=FieldsOptions)
