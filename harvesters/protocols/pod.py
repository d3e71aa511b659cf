"""data.json: an inventory of datasets by Project Open Data 1.1 or DCAT-US 3; each dataset becomes a
graph of DCAT.

Source: https://resources.data.gov/resources/dcat-us/,
https://resources.data.gov/resources/dcat-us-3-catalog/
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from pyoxigraph import RdfFormat

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, dump_json, load_dumped, load_json
from harvesters.options import Options
from harvesters.page_model import InvalidRecord, Pages, Payload, Record, Unparsed
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import builtin_context, parse_description
from harvesters.protocols.document import no_object, read_document, row_record
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

Item = Record[Graph] | InvalidRecord
_CONTEXT = "https://project-open-data.cio.gov/v1.1/schema/data.jsonld"
_LISTS = {"dataset": "Dataset", "datasetSeries": "DatasetSeries", "service": "DataService"}
_NESTED = ("catalog", "hasPart")
_MEMBERS = {*_LISTS, *_NESTED}


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield all datasets, also of nested catalogues. Changes alone cannot be requested, but an
    unchanged file is not read again.

    A dataset's key is its identifier, its raw bytes are its JSON with sorted keys. Raises
    ParseError if the response is not an inventory.
    """
    yield from read_document(
        source, fetch, cursor, "application/json", lambda reply: _parse_catalogue(source, reply)
    )


def _parse_catalogue(source: Source, reply: Reply) -> Iterator[Item]:
    """Return the records of an inventory. They wait as raw bytes: parsed, all together would need
    three times the memory.
    """
    document = load_json(reply)
    if isinstance(document, dict) and not document.keys() & _MEMBERS and "title" in document:
        document = [document]  # The file is a single dataset.
    if isinstance(document, list):
        document = {"dataset": document}  # Before version 1.1 the file is a list.
    members = document if isinstance(document, dict) else {}
    if not any(isinstance(members.get(name), list) for name in _MEMBERS):
        kind = (
            Reason("an object with %(members)s", members=", ".join(map(str, document))[:200])
            if isinstance(document, dict)
            else type(document).__name__
        )
        raise ParseError(
            "%(source)s: %(url)s is not a data.json with a list 'dataset' but %(kind)s",
            source=source.name,
            url=reply.url,
            kind=kind,
        )
    records = deque(_walk_catalogue(members, reply.url))
    return (records.popleft() for _ in range(len(records)))


def _walk_catalogue(catalogue: Mapping[str, Any], base: str) -> Iterator[Item]:
    """Yield the datasets of a catalogue, then those of nested catalogues."""
    lists = {name: rows for name, rows in catalogue.items() if isinstance(rows, list)}
    for name, kind in _LISTS.items():
        for row in lists.get(name, ()):
            yield _dump_dataset(row, kind, base)
    for row in chain.from_iterable(lists.get(name, ()) for name in _NESTED):
        if isinstance(row, dict) and row.keys() & _MEMBERS:
            yield from _walk_catalogue(row, base)


def _dump_dataset(row: Any, kind: str, base: str) -> Item:
    if not isinstance(row, dict):
        return no_object(row)
    key = _find_key(row)
    if key is None:
        title = repr(str(row.get("title"))[:80])
        text = "a record without an identifier, titled %(title)s"
        return InvalidRecord(None, Reason(text, title=title))
    modified = row.get("modified")
    item = row_record(key, row, modified if isinstance(modified, str) else None)
    if isinstance(item, InvalidRecord):
        return item
    content: Unparsed[Graph] = Unparsed(partial(_parse_graph, item.raw, kind, base))
    return Record(key, content, item.raw, item.modified)


def _find_key(row: Mapping[str, Any]) -> str | None:
    """Return the identifier: a text, or the notation of an Identifier, else the dataset's IRI."""
    identifier = row.get("identifier")
    identifier = identifier[0] if isinstance(identifier, list) and identifier else identifier
    if isinstance(identifier, dict):
        identifier = identifier.get("notation") or identifier.get("@id")
    for text in (identifier, row.get("@id")):
        if isinstance(text, str | int) and not isinstance(text, bool) and str(text).strip():
            return str(text).strip()
    return None


def _parse_graph(raw: bytes, kind: str, base: str) -> Graph:
    """Parse a dataset's raw bytes as JSON-LD with our own context, whatever context the file names.
    Raises ParseError.
    """
    context, row = builtin_context(_CONTEXT), load_dumped(raw)
    node = row.get("@id")
    name = node if isinstance(node, str) and is_web(node) else "_:record"
    document = {"@type": kind, **_quote_non_iris(row, context), "@context": context, "@id": name}
    fault = "a dataset that cannot be read"
    with parser_errors(fault):
        content = dump_json(document)
    return parse_description(content, RdfFormat.JSON_LD, fault, base, name, 1)


def _quote_non_iris(value: Any, context: Mapping[str, Any], name: str = "") -> Any:
    """Replace values by literals where an IRI is expected and something else is given, such as
    `Public domain` for a licence; *name* is the property that has the value.
    """
    if isinstance(value, list):
        return [_quote_non_iris(item, context, name) for item in value]
    if isinstance(value, dict):
        return {
            name: _quote_non_iris(member, context, name)
            for name, member in value.items()
            if name != "@context" and not (name == "@id" and not _is_iri(member))
        }
    term = context.get(name)
    is_address = isinstance(term, dict) and term.get("@type") == "@id"
    is_text = is_address and isinstance(value, str) and not _is_iri(value)
    return {"@value": value} if is_text else value


def _is_iri(value: Any) -> bool:
    return isinstance(value, str) and (is_web(value) or value.startswith(("mailto:", "urn:", "_:")))


PROTOCOL = Protocol(collect, Payload.GRAPH, Options, incremental=False)
