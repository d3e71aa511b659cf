"""Parse JSON responses by the source's options: records, their keys and the total."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harvesters.definition_faults import located, option_named
from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Record, Row
from harvesters.payloads.jmespath_search import compile_jmespath
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "records": Option(
        str,
        "@",
        "JMESPath to the list of records in a response; objects keyed by ids are read as a list.",
    ),
    "key": Option(
        str,
        None,
        "JMESPath to a record's key; else the field `key`, else `id`, in a folder the file's stem.",
    ),
    "modified": Option(str, None, "JMESPath to the time when a record changed."),
    "total": Option(str, None, "JMESPath to the total number of records, if responses have it."),
    "page": Option(
        str,
        None,
        "The parameter for the page number; pages are requested until one is empty or `total` is reached.",
    ),
    "first": Option(int, 1, "The number of the first page."),
    "offset": Option(str, None, "The parameter for the number of records to skip."),
    "limit": Option(str, None, "The parameter for the page size, sent with the value of `size`."),
    "size": Option(int, 100, "The number of records per page."),
    "cursor": Option(str, None, "The parameter for the cursor that `next` finds."),
    "next": Option(
        str,
        None,
        "JMESPath to the address of the next page, or with `cursor` to the cursor; `Link` headers are followed too.",
    ),
    "files": Option(
        str,
        None,
        "JMESPath to the list of files in an index, as names, addresses, or objects with one.",
    ),
    "since": Option(str, None, "The parameter for the time since which records changed."),
    "since_format": Option(
        str, "%Y-%m-%dT%H:%M:%SZ", "The format of that time, in UTC (strftime)."
    ),
    "charset": Option(str, "utf-8", "The text's charset, if it is not UTF-8 as JSON requires."),
}

PAGING_OPTIONS = ("page", "offset", "cursor")  # the parameters for paging

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class PagingPlan:
    """The source's options, compiled; *parameters* are sent with every request."""

    source: Source
    records: Callable[[Any], Any]
    key: Callable[[Any], Any]
    modified: Callable[[Any], Any]
    total: Callable[[Any], Any]
    next: Callable[[Any], Any]
    parameters: Mapping[str, str]

    def option(self, name: str) -> Any:
        """Return an option's value."""
        return get_option(self.source, OPTIONS, name)

    @property
    def is_paged(self) -> bool:
        """Return whether the registry answers in pages."""
        return any(self.option(name) for name in (*PAGING_OPTIONS, "next"))


def compile_option(source: Source, name: str) -> Callable[[Any], Any]:
    """Compile the JMESPath of an option; without one, it finds nothing. Raise SourceDefinitionError
    if it is invalid.
    """
    text = get_option(source, OPTIONS, name)
    return (
        compile_jmespath(text, located(source.name, option_named(name))) if text else lambda _: None
    )


def build_plan(source: Source, since: datetime | None) -> PagingPlan:
    """Compile a source's options, to ask for all records or, if it says how, for those changed
    since *since* minus a second.
    """
    key = (
        source.options.get("key")
        or source.fields.get("key")
        or (None if source.options.get("files") else "id")
    )
    extra: dict[str, str] = {}
    if since is not None and (name := get_option(source, OPTIONS, "since")):
        extra[name] = format_since(source, since)
    if name := get_option(source, OPTIONS, "limit"):
        extra[name] = str(get_option(source, OPTIONS, "size"))
    return PagingPlan(
        source=source,
        records=compile_option(source, "records"),
        key=compile_jmespath(key, source.name) if key else lambda _: None,
        modified=compile_option(source, "modified"),
        total=compile_option(source, "total"),
        next=compile_option(source, "next"),
        parameters=extra,
    )


def format_since(source: Source, since: datetime) -> str:
    """Format a time minus a second, as the source definition says."""
    return datetime.fromtimestamp(since.timestamp() - 1, UTC).strftime(
        get_option(source, OPTIONS, "since_format")
    )


def parse_records(
    plan: PagingPlan, reply: Reply, document: Any, stem: str | None = None
) -> tuple[Item, ...]:
    """Return a response's records; *stem* is the key of one without any other. Raise ParseError if
    there are none.
    """
    return tuple(
        _parse_record(plan, stem if name is None else name, row)
        for name, row in _find_rows(plan, reply, document)
    )


def parse_total(plan: PagingPlan, reply: Reply, document: Any) -> int | None:
    """Return the declared total. Raise ParseError if the source definition says where it is and it
    is missing.
    """
    if not plan.option("total"):
        return None
    number = _text(plan.total(document)) or ""
    if not number.isascii() or not number.isdigit():
        raise ParseError(
            Reason(
                "no_total",
                {"source": plan.source.name, "url": reply.url, "path": str(plan.option("total"))},
            )
        )
    return int(number)


def _find_rows(plan: PagingPlan, reply: Reply, document: Any) -> Iterable[tuple[str | None, Any]]:
    """Yield a response's records, with the names under which an object holds them."""
    rows = plan.records(document)
    if isinstance(rows, list):
        return ((None, row) for row in rows)
    if isinstance(rows, dict):
        if "records" in plan.source.options and all(isinstance(row, dict) for row in rows.values()):
            return iter(rows.items())
        if not plan.is_paged:
            return iter([(None, rows)])
    members = ", ".join(sorted(map(str, document)))[:200] if isinstance(document, dict) else ""
    kind = (
        Reason("json_object", {"members": members})
        if isinstance(document, dict)
        else type(document).__name__
    )
    raise ParseError(
        Reason(
            "no_records_at",
            {
                "source": plan.source.name,
                "url": reply.url,
                "path": str(plan.option("records")),
                "kind": kind,
            },
        )
    )


def _no_key(plan: PagingPlan, members: str) -> Reason:
    path = plan.source.options.get("key") or plan.source.fields.get("key")
    if path:
        return Reason("no_value_of_key", {"path": str(path), "members": members})
    return Reason("record_without_key", {"members": members})


def _parse_record(plan: PagingPlan, name: str | None, row: Any) -> Item:
    if not isinstance(row, dict):
        return InvalidRecord(name, Reason("record_not_object", {"text": repr(str(row)[:40])}))
    key = _text(plan.key(row)) or name
    if not key:
        return InvalidRecord(None, _no_key(plan, ", ".join(map(str, row))[:200]))
    try:
        return Record(key, row, dump_json(row), _text(plan.modified(row)))
    except ValueError as error:
        return InvalidRecord(
            key.encode("utf-8", "replace").decode(), Reason("record_holds", {"error": str(error)})
        )


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
