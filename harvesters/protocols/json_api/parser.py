"""JSON answers: what a card's options find in them, the records, their keys and their total."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harvesters.errors import ParseError
from harvesters.network.fetch import Reply
from harvesters.network.response_parsing import dump_json
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Record, Row
from harvesters.payloads.jmespath_compiler import compile_jmespath
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "records": Option(str, "@", "JMESPath to the list of records in an answer; objects keyed by their ids are read as a list."),
    "key": Option(str, None, "JMESPath to a record's key; else the field `key`, else `id`, in a folder the file's stem."),
    "modified": Option(str, None, "JMESPath to the time when a record changed."),
    "total": Option(str, None, "JMESPath to the number of all records, where an answer tells it."),
    "page": Option(str, None, "The argument that counts pages: the answers are asked for until one is empty or `total` is reached."),
    "first": Option(int, 1, "The number of the first page."),
    "offset": Option(str, None, "The argument that says how many records to pass over."),
    "limit": Option(str, None, "The argument that says how many records an answer shall hold, sent with `size`."),
    "size": Option(int, 100, "How many records an answer shall hold."),
    "cursor": Option(str, None, "The argument that takes what `next` gives."),
    "next": Option(str, None, "JMESPath to the address of the next page, or with `cursor` to the cursor; `Link` headers are followed too."),
    "files": Option(str, None, "JMESPath to the list of files in an index, as names, addresses, or objects that hold one."),
    "since": Option(str, None, "The argument that takes the time since when records changed."),
    "since_format": Option(str, "%Y-%m-%dT%H:%M:%SZ", "How that time is written, in UTC (strftime)."),
    "charset": Option(str, "utf-8", "The text's charset, where it is not UTF-8 as JSON demands."),
}

WAYS = ("page", "offset", "cursor")  # the arguments by which answers are paged

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class Plan:
    """The card's options, ready to use; *extra* are the arguments of every request."""

    source: Source
    records: Callable[[Any], Any]
    key: Callable[[Any], Any]
    modified: Callable[[Any], Any]
    total: Callable[[Any], Any]
    next: Callable[[Any], Any]
    extra: Mapping[str, str]

    def option(self, name: str) -> Any:
        """Give an option's value."""
        return get_option(self.source, OPTIONS, name)

    @property
    def paged(self) -> bool:
        """Tell whether the registry answers page by page."""
        return any(self.option(name) for name in (*WAYS, "next"))


def expression(source: Source, name: str) -> Callable[[Any], Any]:
    """Compile the JMESPath of an option; without one, nothing is found. Raises SourceDefinitionError where it is none."""
    told = get_option(source, OPTIONS, name)
    return compile_jmespath(told, f"{source.name}: option {name!r}") if told else lambda _: None


def planned(source: Source, since: datetime | None) -> Plan:
    """Make a card's options ready to ask for all records, or those changed since *since* less a second where it says how."""
    key = source.options.get("key") or source.fields.get("key") or (None if source.options.get("files") else "id")
    extra: dict[str, str] = {}
    if since is not None and (name := get_option(source, OPTIONS, "since")):
        extra[name] = changed_since(source, since)
    if name := get_option(source, OPTIONS, "limit"):
        extra[name] = str(get_option(source, OPTIONS, "size"))
    return Plan(
        source=source,
        records=expression(source, "records"),
        key=compile_jmespath(key, source.name) if key else lambda _: None,
        modified=expression(source, "modified"),
        total=expression(source, "total"),
        next=expression(source, "next"),
        extra=extra,
    )


def changed_since(source: Source, since: datetime) -> str:
    """Write a time less a second as the card says."""
    return datetime.fromtimestamp(since.timestamp() - 1, UTC).strftime(get_option(source, OPTIONS, "since_format"))


def items(plan: Plan, reply: Reply, document: Any, stem: str | None = None) -> tuple[Item, ...]:
    """Give an answer's records; *stem* is the key of one that has no other. Raises ParseError where the answer holds no records."""
    return tuple(_item(plan, stem if name is None else name, row) for name, row in _rows(plan, reply, document))


def claimed(plan: Plan, reply: Reply, document: Any) -> int | None:
    """Give the total that the answer tells; raises ParseError where the card says that it tells one and it does not."""
    if not plan.option("total"):
        return None
    told = _text(plan.total(document)) or ""
    if not told.isascii() or not told.isdigit():
        raise ParseError(f"{plan.source.name}: {reply.url} holds no number at {plan.option('total')!r} (the option 'total')")
    return int(told)


def _rows(plan: Plan, reply: Reply, document: Any) -> Iterable[tuple[str | None, Any]]:
    """Give an answer's records, with the names under which an object holds them."""
    found = plan.records(document)
    if isinstance(found, list):
        return ((None, row) for row in found)
    if isinstance(found, dict):
        if "records" in plan.source.options and all(isinstance(row, dict) for row in found.values()):
            return iter(found.items())
        if not plan.paged:
            return iter([(None, found)])
    kind = f"an object with {', '.join(sorted(map(str, document)))[:200]}" if isinstance(document, dict) else type(document).__name__
    raise ParseError(f"{plan.source.name}: {reply.url} holds no records at {plan.option('records')!r} (the option 'records'); it is {kind}")


def _item(plan: Plan, name: str | None, row: Any) -> Item:
    if not isinstance(row, dict):
        return InvalidRecord(name, f"a record that is no object but {str(row)[:40]!r}")
    key = _text(plan.key(row)) or name
    if not key:
        return InvalidRecord(None, f"a record without a key, which has {', '.join(map(str, row))[:200]}; set the option 'key'")
    try:
        return Record(key, row, dump_json(row), _text(plan.modified(row)))
    except ValueError as error:
        return InvalidRecord(key.encode("utf-8", "replace").decode(), f"a record that holds {error}")


def _text(found: Any) -> str | None:
    if isinstance(found, str):
        return found.strip() or None
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
