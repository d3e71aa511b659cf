"""Read RDF documents by the options of a source, and find the records in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from pyoxigraph import BlankNode, NamedNode, Store

from harvesters.definition_faults import located
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.option_schema import Option, check_choice, get_option, option_names
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.payloads import record_discovery
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.graph import Graph, Node, bounded_description, iri
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.payloads.record_discovery import DiscoveredRecords
from harvesters.protocols.rdf_format import SYNTAXES, parse_rdf
from harvesters.reasons import Reason, Value
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "types": Option(
        (str, list),
        None,
        "Classes whose instances are records, e.g. `dcat:Dataset`; without it the members of catalogues and instances of usual classes.",
    ),
    "syntax": Option(
        str,
        None,
        "The syntax of documents with a wrong Content-Type: "
        + ", ".join(f"`{name}`" for name in SYNTAXES)
        + ".",
    ),
    "contexts": Option(
        (str, list),
        None,
        "Addresses of JSON-LD contexts that may be fetched, in addition to the bundled ones.",
    ),
    "steps": Option(
        int, 2, "How many named nodes away from a record statements still belong to it."
    ),
}

Item = Record[Graph] | DeletedRecord | InvalidRecord


class RdfReader:
    """Reads a source's RDF documents; JSON-LD contexts that were fetched are cached."""

    def __init__(self, source: Source, fetch: Fetch) -> None:
        self.source, self.fetch = source, fetch
        self.classes = frozenset(map(iri, option_names(source, OPTIONS, "types")))
        self.syntax: str | None = get_option(source, OPTIONS, "syntax")
        self.steps: int = get_option(source, OPTIONS, "steps")
        self.contexts: dict[str, Any] = {}

    def open_store(
        self, reply: Reply, broken: NodeErrors | None = None, *, graphs: bool = False
    ) -> AbstractContextManager[Store]:
        """Parse a response into a store that exists within the context manager, as ``parse_rdf``.
        Raise ParseError if it is not RDF.
        """
        return parse_rdf(reply, self.load_context, self.syntax, graphs=graphs, broken=broken)

    def load_context(self, address: str) -> Any:
        """Return a JSON-LD context, bundled or allowed by the source definition. Raise LookupError
        for any other.
        """
        try:
            return builtin_context(address)
        except LookupError:
            if address not in option_names(self.source, OPTIONS, "contexts"):
                raise LookupError(address) from None
        if address not in self.contexts:
            accept = "application/ld+json, application/json;q=0.9"
            document = load_json(self.fetch.get(address, accept=accept))
            if not isinstance(document, dict) or "@context" not in document:
                values: dict[str, Value] = {"source": self.source.name, "url": address}
                raise ParseError(Reason("not_context", values))
            self.contexts[address] = document["@context"]
        return self.contexts[address]

    def parse_record(
        self, store: Store, key: str, node: Node, broken: NodeErrors | None = None
    ) -> Item:
        """Return one record of a document; one with a *broken* part is unreadable."""
        try:
            graph = bounded_description(store, node, self.steps)
        except ValueError as error:
            return InvalidRecord(key, Reason("record_holds", {"error": str(error)}))
        for part in graph.properties if broken else ():
            if broken and str(part) in broken and (part == node or isinstance(part, BlankNode)):
                return InvalidRecord(key, Reason("record_broken", {"error": broken[str(part)]}))
        modified = record_discovery.find_modified(store, node)
        return Record(key, graph, graph.canonical_text(), modified)

    def find_records(self, store: Store, page: str | None = None) -> DiscoveredRecords:
        """Find the records of a document."""
        return record_discovery.find_records(store, self.classes, page)

    def parse_records(
        self, store: Store, result: DiscoveredRecords, broken: NodeErrors | None = None
    ) -> list[Item]:
        """Return all records of a document, and what cannot be read."""
        records = [self.parse_record(store, key, node, broken) for key, node in result.records]
        return [*records, *unreadable_parts(result, broken or {})]


def unreadable_parts(result: DiscoveredRecords, broken: NodeErrors) -> Iterator[InvalidRecord]:
    """Yield the records without IRI and identifier, and the parts of a document that cannot be read
    and belong to no record; a blank node belongs to what points to it.
    """
    for node in result.keyless:
        label = node.value if isinstance(node, NamedNode) else Reason("unnamed_node")
        yield InvalidRecord(None, Reason("node_without_key", {"node": label}))
    nodes = {str(node) for _, node in result.records}
    for name, why in broken.items():
        if name not in nodes and not name.startswith("_:"):
            part = name or Reason("unnamed_part")
            yield InvalidRecord(None, Reason("part_unreadable", {"part": part, "error": why}))


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown syntax or an invalid class."""
    check_choice(source, OPTIONS, "syntax", SYNTAXES)
    for name in option_names(source, OPTIONS, "types"):
        if ":" not in name or (iri(name) == name and not re.match("https?://|urn:", name)):
            fault = Reason("types_not_iri", {"value": repr(name), "example": "dcat:Dataset"})
            raise SourceDefinitionError(located(source.name, fault))
