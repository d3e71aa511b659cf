"""Read the files that a list names as JSON, XML or RDF."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple

from lxml import etree
from pydantic import Field

from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json, parse_xml
from harvesters.options import Options, one_of
from harvesters.page_model import InvalidRecord, Payload, Record
from harvesters.parsing import parser_errors
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.protocols.cursor import Items
from harvesters.protocols.document import DocumentReader, ListedDocument, row_record
from harvesters.protocols.rdf_reader import RdfReader, parse_rdf
from harvesters.reasons import Reason
from harvesters.source import Source


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


class FileOptions(Options):
    """The options of files."""

    format: Annotated[str, one_of(FORMATS)] = Field(
        "json", description="The format of the files: `json`, `xml` or `rdf`."
    )


def payload_type(source: Source) -> Payload:
    name = str(source.options.get("format"))
    return FORMATS[name].payload if name in FORMATS else Payload.ROW


def file_reader(source: Source, fetch: Fetch, probe: str) -> DocumentReader:
    """Return a reader of files in the source's format; *probe* as in DocumentReader."""
    accept = FORMATS[FileOptions.of(source).format].accept

    def parse(document: ListedDocument, reply: Reply) -> tuple[Items, None]:
        return _parse_file(source, fetch, document, reply), None

    return DocumentReader(source, fetch, accept, probe, parse)


def _parse_file(source: Source, fetch: Fetch, document: ListedDocument, reply: Reply) -> Items:
    """Return the record of a file under its key; those of an RDF file without a key, or with
    several records, under their own.

    Raises ParseError if the file is not what the source definition says.
    """
    key, kind = document.key, FileOptions.of(source).format
    if kind == "rdf":
        return _parse_rdf_file(source, fetch, key, reply)
    assert key is not None
    if kind == "xml":
        root = parse_xml(reply)
        raw = etree.tostring(root, encoding="utf-8", with_tail=False)
        return (Record(key, root, raw, document.modified),)
    match row := load_json(reply):
        # A code host wraps the content of a file in a JSON object.
        case {"encoding": "base64", "content": str(text)}:
            with parser_errors(f"{reply.url}: its content is not base64"):
                content = base64.b64decode(text)
            row = load_json(replace(reply, content=content))
    if not isinstance(row, dict):
        text = "%(url)s: expected a JSON object, not a %(kind)s"
        return (InvalidRecord(key, Reason(text, url=reply.url, kind=type(row).__name__)),)
    return (row_record(key, row, document.modified),)


def _parse_rdf_file(source: Source, fetch: Fetch, key: str | None, reply: Reply) -> Items:
    reader, broken = RdfReader(source, fetch), NodeErrors()
    with parse_rdf(reply, builtin_context, broken=broken) as store:
        items = reader.parse_records(store, reader.find_records(store, reply.url), broken)
    if not items:
        return (
            InvalidRecord(key, Reason("%(url)s: has no record of a known class", url=reply.url)),
        )
    if key is not None and len(items) == 1:
        return (replace(items[0], key=key),)
    return tuple(items)
