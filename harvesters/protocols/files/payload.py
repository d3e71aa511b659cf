"""Parse the content of one file as JSON, XML or RDF, for protocols that fetch files one by one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lxml import etree

from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, load_json, parse_xml
from harvesters.option_schema import Option, check_choice, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Payload, Record
from harvesters.parsing import parser_errors
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.payloads.record_discovery import find_records
from harvesters.protocols.rdf.reader import build_reader, unassigned_errors, unidentified
from harvesters.protocols.rdf_format import parse_rdf
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "format": Option(str, "json", "The format of the files: `json`, `xml` or `rdf`.")
}
Item = Record[Any] | DeletedRecord | InvalidRecord


class Format(NamedTuple):
    """A file format: its *payload* type, the *suffix* of file names (a regular expression), and the
    Accept header.
    """

    payload: Payload
    suffix: str
    accept: str


FORMATS: Mapping[str, Format] = {
    "json": Format(Payload.ROW, r"\.json\Z", "application/json"),
    "xml": Format(Payload.XML, r"\.xml\Z", "application/xml, text/xml;q=0.9"),
    "rdf": Format(
        Payload.GRAPH,
        r"\.(ttl|nt|nq|trig|rdf|owl|jsonld)\Z",
        "text/turtle, application/n-triples;q=0.9, application/rdf+xml;q=0.9, application/ld+json;q=0.8",
    ),
}


def payload_type(source: Source) -> Payload:
    """Return the payload type of the source's files."""
    file_format = get_option(source, OPTIONS, "format")
    return FORMATS[file_format].payload if file_format in FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown format."""
    check_choice(source, OPTIONS, "format", FORMATS)


def parse_file(
    source: Source, fetch: Fetch, key: str, reply: Reply, stamp: str | None
) -> tuple[Item, ...]:
    """Return the record of a file under *key*, changed at *stamp*; those of an RDF file under their
    own keys.

    Raises ParseError if the file is not what the source definition says.
    """
    kind = get_option(source, OPTIONS, "format")
    if kind == "xml":
        root = parse_xml(reply)
        return (Record(key, root, etree.tostring(root, encoding="utf-8", with_tail=False), stamp),)
    if kind == "rdf":
        reader = build_reader(source, fetch)
        broken: NodeErrors = {}
        with parse_rdf(reply, builtin_context, broken=broken) as store:
            result = find_records(store, reader.classes, reply.url)
            lost = unassigned_errors(result, broken)
            if not (result.records or result.keyless or lost):
                return (InvalidRecord(key, Reason("file_without_record", {"url": reply.url})),)
            return (
                *(reader.parse_record(store, name, node, broken) for name, node in result.records),
                *map(unidentified, result.keyless),
                *lost,
            )
    row = load_json(reply)
    if (
        isinstance(row, dict)
        and row.get("encoding") == "base64"
        and isinstance(row.get("content"), str)
    ):
        row = load_json(replace(reply, content=_decode_base64(reply, row["content"])))
    if not isinstance(row, dict):
        return (
            InvalidRecord(
                key, Reason("not_json_object", {"url": reply.url, "kind": type(row).__name__})
            ),
        )
    try:
        return (Record(key, row, dump_json(row), stamp),)
    except ValueError as error:
        return (InvalidRecord(key, Reason("file_holds", {"url": reply.url, "error": str(error)})),)


def _decode_base64(reply: Reply, text: str) -> bytes:
    """Decode the content of a file that a code host wraps in a JSON object."""
    with parser_errors(f"{reply.url}: its content is not base64"):
        return base64.b64decode(text)
