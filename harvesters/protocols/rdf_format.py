"""Detect the RDF format of a response and parse it into a store of its own."""

from __future__ import annotations

import codecs
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pyoxigraph import RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, load_json, refuse_html
from harvesters.parsing import parser_errors
from harvesters.payloads.contexts import Find, has_remote_context, inline_contexts
from harvesters.payloads.graph import merge_graphs, normalize_schema_org
from harvesters.payloads.rdf_parser import LARGE, NodeErrors, check_xml, parse_quads, repair_xml
from harvesters.reasons import Reason

ACCEPT = (
    "text/turtle, application/n-triples, application/n-quads, application/trig, application/rdf+xml, application/ld+json;q=0.9,"
    " application/xml;q=0.5, application/json;q=0.5"
)
SYNTAXES: Mapping[str, RdfFormat] = {
    "turtle": RdfFormat.TURTLE,
    "n-triples": RdfFormat.N_TRIPLES,
    "n-quads": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "rdf-xml": RdfFormat.RDF_XML,
    "json-ld": RdfFormat.JSON_LD,
}
_TYPES: Mapping[str, str] = {
    "text/turtle": "turtle", "application/x-turtle": "turtle", "application/turtle": "turtle", "text/n3": "turtle",
    "application/n-triples": "n-triples", "application/n-quads": "n-quads", "text/x-nquads": "n-quads", "text/nquads": "n-quads",
    "application/trig": "trig", "application/x-trig": "trig", "application/rdf+xml": "rdf-xml", "text/rdf": "rdf-xml",
    "application/ld+json": "json-ld", "application/x-json+ld": "json-ld",
}  # fmt: skip
_SUFFIXES: Mapping[str, str] = {
    ".ttl": "turtle", ".n3": "turtle", ".nt": "n-triples", ".nq": "n-quads", ".nquads": "n-quads", ".trig": "trig",
    ".rdf": "rdf-xml", ".owl": "rdf-xml", ".jsonld": "json-ld", ".json": "json-ld",
}  # fmt: skip
_GRAPHS = re.compile(
    rb"(?m)^[ \t]*+(?:GRAPH[ \t]++)?(?:<[^<>\s]*+>|_:\w++|\w*+:\w*+)?[ \t]*+\{[ \t\r]*+$",
    re.IGNORECASE,
)

_XML = re.compile(rb"<[\w.-]++(?::[\w.-]*+)?[\s>][^.]*xmlns")


def detect_format(reply: Reply, forced: str | None = None) -> str:
    """Return a response's format: *forced*, else by its media type, its address's suffix, or its
    content.

    A media type or suffix that contradicts the content is ignored: servers label Turtle as XML, and
    JSON-LD as Turtle.
    """
    look = _look(reply.content)
    if forced:
        return forced
    for name in (
        _TYPES.get(reply.media_type),
        _SUFFIXES.get(PurePosixPath(urlsplit(reply.url).path).suffix.lower()),
    ):
        if name and (look == name or (look == "turtle" and name not in {"rdf-xml", "json-ld"})):
            return name
    return look


def _look(content: bytes) -> str:
    start = content[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith((b"{", b"[")) and not start.startswith(b"[]"):
        return "json-ld"
    if start.lower().startswith(
        (b"<?xml", b"<rdf:rdf", b"<!--", b"<!doctype", b"<!entity")
    ) or _XML.match(start):
        return "rdf-xml"
    # N-Triples are a subset of Turtle
    return "trig" if _GRAPHS.search(content[: 64 * 1024]) else "turtle"


@contextmanager
def parse_rdf(
    reply: Reply,
    find: Find,
    forced: str | None = None,
    *,
    graphs: bool = False,
    broken: NodeErrors | None = None,
) -> Iterator[Store]:
    """Parse a response into a store that exists until the end of the context; a large one is stored
    on disk.

    All named graphs are merged, unless *graphs* is true. JSON-LD contexts are loaded by *find*
    only. With *broken*, invalid parts are skipped and recorded there by node. Raises ParseError,
    with the position, at content that is not RDF, at a DOCTYPE, and at a response without
    statements.
    """
    with tempfile.TemporaryDirectory(prefix="stocktake-") as folder:
        store = Store(folder) if len(reply.content) > LARGE else Store()
        name = detect_format(reply, forced)
        content = _prepared(reply, name, find)
        # all Turtle is TriG
        syntax = RdfFormat.TRIG if name == "turtle" and not forced else SYNTAXES[name]
        form = normalize_schema_org if graphs else merge_graphs
        subject = Reason("not_rdf", {"url": reply.url, "format": _NAMED[name]})
        try:
            store.bulk_extend(form(parse_quads(content, syntax, subject, reply.url, broken=broken)))
        except ParseError:
            if syntax != RdfFormat.RDF_XML or broken is None:
                raise
            store.clear()
            store.bulk_extend(
                form(
                    parse_quads(repair_xml(content, reply.url, broken), syntax, subject, reply.url)
                )
            )
        if not len(store):
            raise ParseError(_no_statement_reason(reply, name, broken))
        yield store
        del store


def _no_statement_reason(reply: Reply, name: str, broken: NodeErrors | None) -> Reason:
    values = {"url": reply.url, "format": _NAMED[name]}
    if broken:
        return Reason("no_statement_because", {**values, "error": str(next(iter(broken.values())))})
    return Reason("no_statement", values)


_NAMED = {
    "turtle": "Turtle",
    "n-triples": "N-Triples",
    "n-quads": "N-Quads",
    "trig": "TriG",
    "rdf-xml": "RDF/XML",
    "json-ld": "JSON-LD",
}


def _prepared(reply: Reply, name: str, find: Find) -> bytes:
    """Return the content for the parser: without a DOCTYPE, and without references to contexts."""
    content = refuse_html(reply, "RDF").removeprefix(codecs.BOM_UTF8)
    if name == "rdf-xml":
        return check_xml(content, reply.url)
    if name != "json-ld":
        return content
    document = load_json(reply)
    with parser_errors(f"{reply.url}: its JSON-LD holds"):
        if not has_remote_context(document):
            return content
        try:
            return dump_json(inline_contexts(document, find))
        except LookupError as error:
            raise ParseError(
                Reason("unknown_context", {"url": reply.url, "context": str(error.args[0])})
            ) from error
