"""Define the [fields] table of a source definition: the fields of each class, and the expressions
that read them.

Values of the table are JMESPath (JSON, rows), XPath (XML) or property paths (RDF).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any

from lxml import etree
from pydantic import Field

from harvesters.errors import SourceDefinitionError
from harvesters.options import Options, Texts, expected, located, not_one_of, suggestion
from harvesters.page_model import Payload
from harvesters.parsing import with_parser_errors
from harvesters.payloads import property_path
from harvesters.payloads.jmespath_search import compile_jmespath
from harvesters.payloads.value_parsing import KINDS
from harvesters.reasons import Reason
from harvesters.source import Source
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


# The fields of each class.
# a language tag may follow: "title@en"
TEXTS = (
    "title",
    "description",
    "subjects",
    "venue",
    "content",
)
LISTS = (
    "countries", "action_lines", "goals", "targets", "subjects", "pages", "partners", "funders", "languages", "identifiers",
    "activity_types", "related", "initiatives", "part_of",
)  # fmt: skip
_COMMON = frozenset(
    (
        "key",
        "kind",
        "title",
        "description",
        "issued",
        "modified",
        "lead",
        "lead_type",
        "lead_country",
        "lead_identifiers",
        "licence",
        *LISTS,
    )
)
FIELDS: Mapping[type[Resource], frozenset[str]] = {
    Initiative: _COMMON
    | {
        "start",
        "end",
        "planned_start",
        "planned_end",
        "developed_in",
        "amounts",
        "status",
        "coverage",
        "latitude",
        "longitude",
        "place",
        "prize_category",
        "prize_stage",
        "prize_year",
        "prize_date",
        "prize_edition",
        "prize_name",
    },
    Event: (
        _COMMON
        | {"start", "end", "latitude", "longitude", "place", "venue", "registration", "cancelled"}
    )
    - {"activity_types"},
    Document: (_COMMON | {"type"}) - {"activity_types"},
    Post: (_COMMON | {"content", "container"}) - {"activity_types"},
}
PREFIXES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xlink": "http://www.w3.org/1999/xlink",
    "mods": "http://www.loc.gov/mods/v3",
}
FIELD_NAME = re.compile(r"([a-z_]+)(?:@([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*))?\Z")
# Most paths: names need no interpreter of JMESPath or XPath, which takes longer than all the rest.
_ATTRIBUTE = re.compile(r"@[A-Za-z_]\w*\Z", re.ASCII)
_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*\Z", re.ASCII)
_STEP = re.compile(r"\w+", re.ASCII)
_ANY_NAMESPACE = re.compile(r"\*:([\w.-]+)")

Find = Callable[[Any], Any]


def record_class(source: Source) -> type[Resource]:
    """Return the class of the source's records. Raise SourceDefinitionError if it is unknown."""
    name = source.fields.get("kind", "initiative")
    if name not in KINDS:
        raise SourceDefinitionError(
            located(source.name, not_one_of(_field_named("kind"), name, KINDS))
        )
    return KINDS[name]


def faults(source: Source, payload_type: Payload = Payload.ROW) -> Iterator[Reason]:
    """Yield a reason for each unknown field or invalid expression; it says how to correct it."""
    if not source.fields:
        yield located(
            source.name, Reason("mapping 'fields' needs a [fields] table, at least with 'title'")
        )
        return
    try:
        known = FIELDS[record_class(source)]
    except SourceDefinitionError as error:
        yield from error.faults
        return
    options = FieldsOptions.of(source)
    for crosswalk in options.crosswalk:
        if crosswalk not in crosswalk_names():
            near = suggestion(crosswalk, crosswalk_names())
            yield located(
                source.name,
                Reason(
                    "unknown crosswalk %(name)s; %(suggestion)s",
                    name=repr(crosswalk),
                    suggestion=near,
                ),
            )
    yield from _split_faults(source, options.split, known)
    for name, text in source.fields.items():
        match = FIELD_NAME.match(name)
        if not match or match[1] not in known:
            yield located(
                source.name,
                Reason(
                    "unknown field %(name)s; %(suggestion)s",
                    name=repr(name),
                    suggestion=suggestion(name, known),
                ),
            )
        elif match[2] and match[1] not in TEXTS:
            yield located(
                source.name,
                Reason(
                    "field %(name)s takes no language; only %(names)s do",
                    name=repr(name),
                    names=", ".join(TEXTS),
                ),
            )
        elif name == "key" and payload_type is not Payload.ROW:
            yield located(
                source.name,
                Reason("field 'key' is not allowed here: the protocol's own identifier is the key"),
            )
        elif name == "amounts" and payload_type is not Payload.ROW:
            yield located(
                source.name, Reason("field 'amounts' reads objects, which only rows have")
            )
        elif name != "kind":
            try:
                compile_path(text, field_location(source, name), payload_type, options.namespaces)
            except SourceDefinitionError as error:
                yield from error.faults


def _split_faults(
    source: Source, split: str | dict[str, Any], known: frozenset[str]
) -> Iterator[Reason]:
    for name, mark in split.items() if isinstance(split, dict) else ():
        where = f"split.{name}"
        if name not in known:
            near = suggestion(name, known)
            yield located(
                source.name,
                Reason("unknown field %(name)s; %(suggestion)s", name=repr(where), suggestion=near),
            )
        elif not isinstance(mark, str):
            yield located(source.name, expected(where, mark, "text"))


def _field_named(name: str) -> Reason:
    return Reason("field %(name)s", name=repr(name))


def field_location(source: Source, name: str) -> Reason:
    """Return where a field of a source definition is, for an error's text."""
    return located(source.name, _field_named(name))


def compile_path(
    text: str, where: Reason, payload_type: Payload, prefixes: Mapping[str, str]
) -> Find:
    """Return the function that reads a path of a record. Raise SourceDefinitionError at an invalid
    one.
    """
    if payload_type is Payload.XML and _ATTRIBUTE.match(text):
        return methodcaller("get", text[1:])
    if payload_type is Payload.ROW and _MEMBER.match(text):
        return _find_member(_STEP.findall(text))
    if payload_type is Payload.ROW:
        return compile_jmespath(text, where)
    if payload_type is Payload.GRAPH:
        return property_path.compile_path(text, where, prefixes)
    try:
        path = etree.XPath(
            expand_path(text), namespaces={**PREFIXES, **prefixes}, smart_strings=False
        )
    except (etree.XPathSyntaxError, ValueError) as error:
        raise SourceDefinitionError(
            located(
                where,
                Reason("%(text)s is not an XPath: %(error)s", text=repr(text), error=str(error)),
            )
        ) from error

    return with_parser_errors(path, f"{where}: {text!r} does not fit the record")


def expand_path(text: str) -> str:
    """Return an XPath in which ``*:name``, an element of that name in any namespace, is written as
    XPath 1.0 has it.
    """
    return _ANY_NAMESPACE.sub(r"*[local-name()='\1']", text)


def _find_member(steps: Sequence[str]) -> Find:
    """Return the function that follows names and indexes from value to value, as JMESPath does."""
    if len(steps) == 1:
        return lambda row: row.get(steps[0]) if isinstance(row, dict) else None
    path = [int(step) if step.isdigit() else step for step in steps]

    def find(row: Any) -> Any:
        value = row
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    return find
