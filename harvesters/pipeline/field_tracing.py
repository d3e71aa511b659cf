"""Find the field of a record that a statement comes from: each field is left out in turn, and the
record is mapped again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lxml.etree import _Element

from harvesters.page_model import Record
from harvesters.payloads.graph import PREFIXES, Graph

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


def trace_fields(
    record: Record[Any], statements: Statements, errors: tuple[type[Exception], ...]
) -> list[FieldTrace]:
    """Return a trace of each field of *record*, in the order of the record.

    A field is named as its publisher names it: ``results[].name`` in JSON, a column's name in a
    table, ``description/narrative`` or ``@iso`` in XML, a prefixed property in RDF. *errors* are
    what a mapping raises. The record is unchanged afterwards.
    """
    record = record.parsed()
    whole = statements(record)
    traces = []
    for name, values in list(fields_of(record.payload).items())[:MAX_FIELDS]:
        lost = _lost_without(record, {name}, whole, statements, errors)
        shortened = tuple(value[:_MAX_LENGTH] for value in values[:_MAX_VALUES])
        traces.append(FieldTrace(name, shortened, whole if lost is None else lost, lost is None))
    return traces


def _lost_without(
    record: Record[Any],
    names: Set[str],
    whole: frozenset[str],
    statements: Statements,
    errors: tuple[type[Exception], ...],
) -> frozenset[str] | None:
    """Return which of a record's statements are lost without some fields; None if it cannot be
    mapped.
    """
    try:
        with _without(record, names) as rest:
            return whole - statements(rest)
    except errors:
        return None


class AlternativeFields:
    """Finds the alternative fields of statements of one record: each alone is enough for a
    statement, so that leaving out one of them loses nothing.

    The same fields are left out for many statements, so the statements lost without them are
    cached.
    """

    def __init__(
        self,
        record: Record[Any],
        traces: Sequence[FieldTrace],
        statements: Statements,
        errors: tuple[type[Exception], ...],
    ) -> None:
        record, whole = record.parsed(), statements(record.parsed())
        self._traces = [trace for trace in traces if not trace.is_required]
        self._is_lost = lru_cache(maxsize=_MAX_KEPT)(
            lambda names: _lost_without(record, names, whole, statements, errors)
        )

    def find(self, statement: str) -> list[FieldTrace]:
        """Return the alternative fields of a statement of the record, at most five.

        The result is empty if the statement does not depend on any field that can be left out: the
        mapping makes it of every record.
        """
        rest, results = [*self._traces], list[FieldTrace]()

        def is_made(left_out: Sequence[FieldTrace]) -> bool:
            names = frozenset(trace.name for trace in left_out)
            lost = self._is_lost(names)
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
    nodes = [
        (element, attribute)
        for name_in_document, element, attribute in _xml_nodes(root)
        if name_in_document in names
    ]
    texts = [(element, element.text) for element, attribute in nodes if attribute is None]
    attributes = [
        (element, dict(element.attrib)) for element, attribute in nodes if attribute is not None
    ]
    for element, attribute in nodes:
        if attribute is None:
            element.text = None
        else:
            del element.attrib[attribute]
    try:
        yield
    finally:
        for element, text in texts:
            element.text = text
        for element, before in attributes:
            element.attrib.clear()
            element.attrib.update(before)


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


def fields_behind(statement: str, traces: Sequence[FieldTrace]) -> list[FieldTrace]:
    """Return the fields without which *statement* is not made, the likeliest first.

    First come the fields with a value that the statement contains, then those that fewer statements
    depend on.
    """

    def rank(trace: FieldTrace) -> tuple[bool, bool, int]:
        return (
            trace.is_required,
            not any(value in statement for value in trace.values),
            len(trace.statements),
        )

    return sorted((trace for trace in traces if statement in trace.statements), key=rank)
