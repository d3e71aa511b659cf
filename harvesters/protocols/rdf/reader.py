"""Read RDF responses by the options of a source, and find the records in a document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from harvesters.protocols.rdf_format import ACCEPT, SYNTAXES, parse_rdf
from harvesters.reasons import Reason
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


@dataclass(slots=True)
class RdfReader:
    """How a source's documents are read; JSON-LD contexts that were fetched are cached."""

    source: Source
    fetch: Fetch
    classes: frozenset[str] = frozenset()
    syntax: str | None = None
    steps: int = 2
    contexts: dict[str, Any] = field(default_factory=dict)

    def fetch_document(self, address: str, *, conditional: bool = False) -> Reply:
        """Request a document."""
        return self.fetch.get(address, accept=ACCEPT, conditional=conditional)

    @contextmanager
    def open_store(self, reply: Reply, broken: NodeErrors | None = None) -> Iterator[Store]:
        """Parse a response into a store that exists within the context manager. Raise ParseError if
        it is not RDF.
        """
        with parse_rdf(reply, self.load_context, self.syntax, broken=broken) as store:
            yield store

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
            document = load_json(
                self.fetch.get(address, accept="application/ld+json, application/json;q=0.9")
            )
            if not isinstance(document, dict) or "@context" not in document:
                raise ParseError(
                    Reason("not_context", {"source": self.source.name, "url": address})
                )
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
        parts = (
            (str(part) for part in graph.properties if part == node or isinstance(part, BlankNode))
            if broken
            else ()
        )
        if broken and (reasons := [broken[name] for name in parts if name in broken]):
            return InvalidRecord(key, Reason("record_broken", {"error": reasons[0]}))
        return Record(
            key, graph, graph.canonical_text(), record_discovery.find_modified(store, node)
        )

    def find_records(self, store: Store, page: str | None = None) -> DiscoveredRecords:
        """Find the records of a document."""
        return record_discovery.find_records(store, self.classes, page)


def build_reader(source: Source, fetch: Fetch) -> RdfReader:
    """Return a reader with a source's options."""
    classes = frozenset(map(iri, option_names(source, OPTIONS, "types")))
    return RdfReader(
        source,
        fetch,
        classes,
        get_option(source, OPTIONS, "syntax"),
        get_option(source, OPTIONS, "steps"),
    )


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown syntax or an invalid class."""
    check_choice(source, OPTIONS, "syntax", SYNTAXES)
    for name in option_names(source, OPTIONS, "types"):
        if ":" not in name or (iri(name) == name and not re.match("https?://|urn:", name)):
            raise SourceDefinitionError(
                located(
                    source.name,
                    Reason("types_not_iri", {"value": repr(name), "example": "dcat:Dataset"}),
                )
            )


def unassigned_errors(result: DiscoveredRecords, broken: NodeErrors) -> list[InvalidRecord]:
    """Return the parts of a document that cannot be read and belong to no record; a blank node
    belongs to what points to it.
    """
    nodes = {str(node) for _, node in result.records}
    lost = {
        name: why for name, why in broken.items() if name not in nodes and not name.startswith("_:")
    }
    return [
        InvalidRecord(
            None, Reason("part_unreadable", {"part": name or Reason("unnamed_part"), "error": why})
        )
        for name, why in lost.items()
    ]


def unidentified(node: Node) -> InvalidRecord:
    """Return a record without IRI and identifier as unreadable."""
    label = node.value if isinstance(node, NamedNode) else Reason("unnamed_node")
    return InvalidRecord(None, Reason("node_without_key", {"node": label}))
