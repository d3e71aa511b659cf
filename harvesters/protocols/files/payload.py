"""Payloads of files: what one file holds, as JSON, XML or RDF, for protocols that bring files one by one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lxml import etree

from harvesters.errors import SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import dump_json, load_json, parse_xml
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Payload, Record
from harvesters.parsing import parser_errors
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.rdf_format import parse_rdf
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.payloads.record_discovery import find_records
from harvesters.protocols.rdf.reader import nameless, reading, unclaimed
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {"format": Option(str, "json", "What the files hold: `json`, `xml` or `rdf`.")}
Item = Record[Any] | DeletedRecord | InvalidRecord


class Format(NamedTuple):
    """What a file can hold: the *payload* that it brings, the *suffix* of its name (a regular expression), and what is asked for."""

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


def brings(source: Source) -> Payload:
    """Tell what the card's files hold."""
    told = get_option(source, OPTIONS, "format")
    return FORMATS[told].payload if told in FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Refuse an unknown format; raises SourceDefinitionError."""
    told = get_option(source, OPTIONS, "format")
    if told not in FORMATS:
        raise SourceDefinitionError(f"{source.name}: option 'format' is {told!r}; it is one of {', '.join(FORMATS)}")


def records(source: Source, fetch: Fetch, key: str, reply: Reply, stamp: str | None) -> tuple[Item, ...]:
    """Give the record of a file under *key*, changed at *stamp*; of RDF its records under their own keys.

    Raises ParseError where the file is not what the card says.
    """
    kind = get_option(source, OPTIONS, "format")
    if kind == "xml":
        root = parse_xml(reply)
        return (Record(key, root, etree.tostring(root, encoding="utf-8", with_tail=False), stamp),)
    if kind == "rdf":
        told = reading(source, fetch)
        broken: NodeErrors = {}
        with parse_rdf(reply, builtin_context, broken=broken) as store:
            these = find_records(store, told.classes, reply.url)
            lost = unclaimed(these, broken)
            if not (these.records or these.keyless or lost):
                return (InvalidRecord(key, f"{reply.url}: holds nothing that we know as a record"),)
            return (*(told.item(store, name, node, broken) for name, node in these.records), *map(nameless, these.keyless), *lost)
    row = load_json(reply)
    if isinstance(row, dict) and row.get("encoding") == "base64" and isinstance(row.get("content"), str):
        row = load_json(replace(reply, content=_unpacked(reply, row["content"])))
    if not isinstance(row, dict):
        return (InvalidRecord(key, f"{reply.url}: holds no object but a {type(row).__name__}"),)
    try:
        return (Record(key, row, dump_json(row), stamp),)
    except ValueError as error:
        return (InvalidRecord(key, f"{reply.url}: holds {error}"),)


def _unpacked(reply: Reply, text: str) -> bytes:
    """Decode a file as code hosts give it in an object of theirs."""
    with parser_errors(f"{reply.url}: its content is no base64"):
        return base64.b64decode(text)
