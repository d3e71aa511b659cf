"""Parse JSON-LD, microdata and RDFa of a web page into one RDF store.

Source: https://html.spec.whatwg.org/multipage/microdata.html, https://www.w3.org/TR/rdfa-core/,
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from extruct.jsonld import JsonLdExtractor
from extruct.rdfa import RDFaExtractor
from extruct.utils import parse_html, parse_xmldom_html
from extruct.w3cmicrodata import MicrodataExtractor
from pyoxigraph import RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.network.reply import (
    Reply,
    declared_charset,
    dump_json,
    is_charset,
    marked_charset,
)
from harvesters.parsing import parser_errors
from harvesters.payloads.contexts import builtin_context, inline_contexts
from harvesters.payloads.graph import iri_or_text, merge_graphs
from harvesters.payloads.rdf_parser import parse_quads
from vocab.iris import is_web

_META = re.compile(rb"<meta[^>]{0,200}charset\s*+=\s*+[\"']?\s*+([\w.:-]++)", re.IGNORECASE)
# The libraries for microdata and RDFa resolve an empty address to that of the page.
_EMPTY_ADDRESS = re.compile(r"""\s(?:href|src)\s*+=\s*+(?:""|'')""", re.IGNORECASE)
_NAMESPACE = re.compile(r"(https?://.*[/#])[^/#]+\Z")


def parse_page(reply: Reply) -> tuple[Store, list[str]]:
    """Return all structured data of a page as a store, and the errors of what could not be parsed."""
    store, errors = Store(), list[str]()
    text = _EMPTY_ADDRESS.sub("", _text(reply)).encode("utf-8", "replace")
    for kind, extract in (("JSON-LD", _json_ld), ("microdata", _microdata), ("RDFa", _rdfa)):
        try:
            with parser_errors(f"its {kind} cannot be read"):
                for item in extract(text, reply.url):
                    if isinstance(item, Exception):
                        raise item
                    _put(store, item, reply.url)
        except ParseError as error:
            errors.append(str(error))
    return store, errors


def _text(reply: Reply) -> str:
    """Decode a page as browsers do: by its byte order mark, its header, its meta element, else as
    UTF-8, else as Windows-1252.
    """
    meta = _META.search(reply.content[:4096])
    named = meta[1].decode("ascii", "replace") if meta else ""
    for name in (marked_charset(reply), declared_charset(reply), named, "utf-8"):
        with suppress(UnicodeError):
            if name and is_charset(name):
                return reply.content.decode(name).removeprefix("\ufeff")
    return reply.content.decode("cp1252", "replace")


def _json_ld(text: bytes, url: str) -> Iterator[Any]:
    """Yield the items of each script separately, so that an invalid one does not affect others; an
    error comes last.
    """
    broken: Exception | None = None
    for script in parse_html(text, encoding="utf-8").iterfind(
        './/script[@type="application/ld+json"]'
    ):
        try:
            yield from (
                inline_contexts(item, builtin_context)
                for item in JsonLdExtractor().extract_items(script)
            )
        except LookupError as error:
            broken = ValueError(f"it needs the context {error.args[0]}, which is not built in")
        except (ValueError, TypeError, RecursionError) as error:
            broken = error
    if broken is not None:
        yield broken


def _microdata(text: bytes, url: str) -> Iterator[Any]:
    for item in MicrodataExtractor(strict=False).extract_items(
        parse_html(text, encoding="utf-8"), base_url=url
    ):
        yield _node(item, "")


def _node(item: dict[str, Any], around: str) -> dict[str, Any]:
    """Convert an item of microdata to JSON-LD; a property belongs to the vocabulary of its item's
    type, or of the enclosing item.
    """
    types = item.get("type", [])
    types = [
        name for name in (types if isinstance(types, list) else str(types).split()) if is_web(name)
    ]
    match = _NAMESPACE.match(types[0]) if types else None
    namespace = match.group(1) if match else around
    schema = re.match(r"https?://(www\.)?schema\.org/", namespace)
    node: dict[str, Any] = (
        {"@context": builtin_context("https://schema.org") if schema else {"@vocab": namespace}}
        if namespace
        else {}
    )
    node |= {"@type": types} if types else {}
    node |= {"@id": item["id"]} if is_web(item.get("id", "")) else {}
    for name, value in item.get("properties", {}).items():
        if namespace or ":" in name:
            node[name] = [
                _value(item_value, namespace)
                for item_value in (value if isinstance(value, list) else [value])
            ]
    return node


def _value(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return _node(value, namespace)
    return " ".join(value.split()) if isinstance(value, str) else value


def _rdfa(text: bytes, url: str) -> Iterator[Any]:
    yield from RDFaExtractor().extract_items(
        parse_xmldom_html(text, encoding="utf-8"), base_url=url
    )


def _put(store: Store, item: Any, url: str) -> None:
    quads = parse_quads(dump_json(item), RdfFormat.JSON_LD, "as JSON-LD", url, rename=True)
    store.extend(list(iri_or_text(merge_graphs(quads))))
