"""Metadata in RDF/XML: a record becomes a graph of its first resource."""

from __future__ import annotations

from functools import partial
from typing import Any

from lxml.etree import _Element
from pyoxigraph import NamedNode, RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Record, Unparsed
from harvesters.payloads.graph import Graph, bounded_description, iri_or_text, merge_graphs
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.protocols.oai.parser import Item
from harvesters.reasons import Reason

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_STEPS = 2  # named nodes away from the resource; all are in the same record


def parse_graph(item: Item) -> Record[Any] | DeletedRecord | InvalidRecord:
    """Return the record with its metadata as a graph, which is parsed only if the record has
    changed. If its first resource has no IRI, the record is unreadable.
    """
    if not isinstance(item, Record):
        return item
    first = _first_resource(item.payload)
    about = None if first is None else first.get(f"{_RDF}about")
    if not about:
        return InvalidRecord(
            item.key, Reason("metadata_not_rdf", {"element": str(item.payload.tag)})
        )
    content = Unparsed(partial(_parse_metadata, item.raw, about))
    return Record(item.key, content, item.raw, item.modified, item.lineage)


def _parse_metadata(raw: bytes, about: str) -> Graph:
    """Parse metadata as RDF/XML. Raises ParseError."""
    store = Store()
    try:
        quads = parse_quads(raw, RdfFormat.RDF_XML, "its RDF/XML cannot be read", "urn:record:")
        store.extend(list(iri_or_text(merge_graphs(quads))))
        return bounded_description(store, NamedNode(about), _STEPS)
    except ValueError as error:
        raise ParseError(Reason("record_holds", {"error": str(error)})) from error


def _first_resource(payload: _Element) -> _Element | None:
    if payload.tag != f"{_RDF}RDF":
        return payload
    return next(payload.iterchildren("*"), None)
