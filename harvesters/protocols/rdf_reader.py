"""Read RDF responses of any format by the options of a source, and find in them the records, their
keys, and the pages to which they link.
"""

from __future__ import annotations

import codecs
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, RdfFormat, Store

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, dump_json, load_json, refuse_html
from harvesters.options import Options, Texts
from harvesters.page_model import InvalidRecord, Item, Record
from harvesters.payloads.graph import (
    MEMBERS,
    TYPE,
    Graph,
    Node,
    Term,
    bounded_description,
    iri,
    is_blank_name,
    merge_graphs,
    normalize_schema_org,
)
from harvesters.payloads.rdf_parser import (
    LARGE,
    Find,
    NodeErrors,
    builtin_context,
    check_xml,
    inline_contexts,
    parse_quads,
    repair_xml,
)
from harvesters.payloads.value_parsing import natural
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

CATALOGUES = frozenset(map(iri, (
    "dcat:Catalog", "schema:DataCatalog", "hydra:Collection", "hydra:PagedCollection", "ldp:Container", "ldp:BasicContainer",
)))  # fmt: skip
_MODIFIED = tuple(map(iri, ("dct:modified", "schema:dateModified")))
_NEXT = tuple(map(iri, ("hydra:next", "hydra:nextPage")))


class DiscoveredRecords(NamedTuple):
    """The records of a document: *records* by key, and *keyless* ones; *elsewhere* are members that
    it only names, *catalogues* those to which it links.
    """

    records: tuple[tuple[str, Node], ...]
    keyless: tuple[Node, ...]
    elsewhere: tuple[str, ...]
    catalogues: tuple[str, ...]


def find_records(
    store: Store, classes: frozenset[str], page: str | None = None
) -> DiscoveredRecords:
    """Return the records of a document: the instances of *classes*, else the members of its
    catalogues and instances of usual classes (``queries/recognized.rq``).

    Without *classes* a blank node that is the value of a property other than membership is a part
    of another, and not a record. A blank node's key is its identifier, else its page, else *page*
    if the document describes nothing else.
    """
    members = ", ".join(str(NamedNode(name)) for name in sorted(MEMBERS))
    stated = " ".join(str(NamedNode(name)) for name in sorted(classes))
    selection = f"VALUES ?class {{ {stated} }} ?node a ?class ."
    if not classes:
        selection = query_template("recognized").substitute(members=members)
    query = query_template("records").substitute(selection=selection, members=members)
    rows: Any = store.query(query)
    results: dict[str, list[tuple[Any, Any]]] = {"record": [], "member": [], "catalogue": []}
    for kind, node, text in rows:
        results[kind.value].append((node, text))
    named: dict[str, Node] = {}
    keyless: list[Node] = []
    for node, text in sorted(
        results["record"], key=lambda row: (isinstance(row[0], BlankNode), row[0].value)
    ):
        is_named = isinstance(node, NamedNode) and not is_blank_name(node.value)
        own = node.value if is_named else " ".join(text.value[1:].split()) if text else ""
        key = own or (page if len(results["record"]) == 1 else None)
        if key and key not in named:
            named[key] = node
        elif not key:
            keyless.append(node)
    elsewhere, catalogues = (
        tuple(sorted(node.value for node, _ in results[kind] if is_web(node.value)))
        for kind in ("member", "catalogue")
    )
    return DiscoveredRecords(tuple(sorted(named.items())), tuple(keyless), elsewhere, catalogues)


@cache
def query_template(name: str) -> Template:
    """Return a query of the folder ``queries``, whose parts in $ are to be substituted."""
    file = files("harvesters.protocols").joinpath("queries", f"{name}.rq")
    return Template(file.read_text(encoding="utf-8"))


def find_modified(store: Store, node: Node) -> str | None:
    return next(
        (
            term.value
            for name in _MODIFIED
            for term in objects(store, node, name)
            if isinstance(term, Literal)
        ),
        None,
    )


def find_next_page(store: Store) -> str | None:
    """Return the address of the collection's next page, that of a PartialCollectionView or a
    PagedCollection.

    Source: https://www.hydra-cg.com/spec/latest/core/#collections
    """
    texts = (_key(term) for name in _NEXT for term in objects(store, None, name))
    return min((text for text in texts if text and is_web(text)), default=None)


def find_total(store: Store) -> int | None:
    """Return the number of members that the document's only collection reports."""
    totals = {*map(_key, objects(store, None, iri("hydra:totalItems")))}
    return natural(totals.pop()) if len(totals) == 1 else None


def frequent_classes(store: Store) -> list[str]:
    """Return the classes with instances in the document, the most frequent first, at most eight."""
    count = Counter(iris(store, None, TYPE))
    return sorted(count, key=lambda name: (-count[name], name))[:8]


def objects(store: Store, node: Term | None, name: str) -> list[Term]:
    """Return the values of the property *name* of *node*, or of any node."""
    if isinstance(node, Literal):
        return []
    try:
        predicate = NamedNode(name)
    except ValueError:  # What names the property is not an IRI.
        return []
    subject = node if isinstance(node, NamedNode | BlankNode) else None
    quads = store.quads_for_pattern(subject, predicate, None, DefaultGraph())
    return [quad.object for quad in quads]


def iris(store: Store, node: Term | None, name: str) -> list[str]:
    """Return the values that are IRIs."""
    return [term.value for term in objects(store, node, name) if isinstance(term, NamedNode)]


def is_catalogue(store: Store) -> bool:
    """Return whether a document describes a catalogue or a collection, even if empty."""
    return not CATALOGUES.isdisjoint(iris(store, None, TYPE))


def is_described(store: Store, node: Node) -> bool:
    return next(iter(store.quads_for_pattern(node, None, None, DefaultGraph())), None) is not None


def _key(term: Term) -> str | None:
    return " ".join(term.value.split()) or None if isinstance(term, NamedNode | Literal) else None


ACCEPT = (
    "text/turtle, application/n-triples, application/n-quads, application/trig, application/rdf+xml, application/ld+json;q=0.9,"
    " application/xml;q=0.5, application/json;q=0.5"
)
_XML_STARTS = (b"<?xml", b"<rdf:rdf", b"<!--", b"<!doctype", b"<!entity")
_XML = re.compile(rb"<[\w.-]++(?::[\w.-]*+)?[\s>][^.]*xmlns")


def check_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the *names* of classes. Raise ValueError if one is neither an IRI nor has a known prefix."""
    for name in names:
        if ":" not in name or (iri(name) == name and not re.match("https?://|urn:", name)):
            raise ValueError(
                Reason(
                    "option 'types' contains %(value)s; write an IRI, or a name whose prefix is known: "
                    "%(example)s",
                    value=repr(name),
                    example="dcat:Dataset",
                )
            )
    return names


class StepOptions(Options):
    """The option of all protocols that read records from RDF."""

    steps: int = Field(
        2, description="How many named nodes away from a record its statements may be."
    )


class ClassOptions(StepOptions):
    """The options of documents in which records are recognized by their classes."""

    types: Annotated[Texts, AfterValidator(check_classes)] = Field(
        (),
        description="Classes whose instances are records, e.g. `dcat:Dataset`; "
        "without it the members of catalogues and instances of usual classes.",
    )


class ContextOptions(StepOptions):
    """The option of documents that may be JSON-LD."""

    contexts: Texts = Field(
        (),
        description="Addresses of JSON-LD contexts that may be fetched, in addition to the bundled ones.",
    )


class RdfOptions(ContextOptions, ClassOptions):
    """The options of RDF documents."""


def detect_format(reply: Reply) -> RdfFormat:
    """Return a response's format, as its beginning shows it: servers label Turtle as XML, and
    JSON-LD as Turtle. N-Triples and Turtle are read as TriG; N-Quads are named by their media type,
    or by the suffix of their address.
    """
    start = reply.content[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith((b"{", b"[")) and not start.startswith(b"[]"):
        return RdfFormat.JSON_LD
    if start.lower().startswith(_XML_STARTS) or _XML.match(start):
        return RdfFormat.RDF_XML
    suffix = PurePosixPath(urlsplit(reply.url).path).suffix.lower()
    is_quads = "quads" in reply.media_type or suffix in (".nq", ".nquads")
    return RdfFormat.N_QUADS if is_quads else RdfFormat.TRIG


@contextmanager
def parse_rdf(
    reply: Reply,
    find: Find,
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
        syntax = detect_format(reply)
        content = _prepared(reply, syntax, find)
        form = normalize_schema_org if graphs else merge_graphs
        values = {"url": reply.url, "format": syntax.name if syntax != RdfFormat.TRIG else "Turtle"}
        subject = Reason("%(url)s: cannot be read as %(format)s", **values)
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
            raise ParseError(
                "%(url)s: read as %(format)s, it has no statements: %(error)s"
                if broken
                else "%(url)s: read as %(format)s, it has no statements",
                **values,
                error=next(iter((broken or {}).values()), ""),
            )
        yield store
        del store


def _prepared(reply: Reply, syntax: RdfFormat, find: Find) -> bytes:
    """Return the content for the parser: without a DOCTYPE, and without references to contexts."""
    content = refuse_html(reply, "RDF").removeprefix(codecs.BOM_UTF8)
    if syntax == RdfFormat.RDF_XML:
        return check_xml(content, reply.url)
    if syntax != RdfFormat.JSON_LD:
        return content
    document = load_json(reply)
    with parser_errors(f"{reply.url}: its JSON-LD holds"):
        try:
            return dump_json(inline_contexts(document, find))
        except LookupError as error:
            raise ParseError(
                "%(url)s: its JSON-LD needs the context %(context)s, which is not built in; name it "
                "in the option `contexts` to allow it",
                url=reply.url,
                context=str(error.args[0]),
            ) from error


def describe(store: Store, key: str, node: Node, steps: int) -> Record[Graph] | InvalidRecord:
    """Return the record of *node*: the statements about it, and those *steps* nodes away."""
    try:
        graph = bounded_description(store, node, steps)
    except ValueError as error:
        return InvalidRecord(
            key, Reason("a record that cannot be read: %(error)s", error=str(error))
        )
    return Record(key, graph, graph.canonical_text(), find_modified(store, node))


class RdfReader:
    """Reads a source's RDF documents; JSON-LD contexts that were fetched are cached."""

    def __init__(self, source: Source, fetch: Fetch) -> None:
        self.source, self.fetch = source, fetch
        self.options = RdfOptions.of(source)
        self.classes = frozenset(map(iri, self.options.types))
        self.contexts: dict[str, Any] = {}

    def open_store(
        self, reply: Reply, broken: NodeErrors | None = None, *, graphs: bool = False
    ) -> AbstractContextManager[Store]:
        """Parse a response into a store that exists within the context manager, as ``parse_rdf``.
        Raise ParseError if it is not RDF.
        """
        return parse_rdf(reply, self.load_context, graphs=graphs, broken=broken)

    def load_context(self, address: str) -> Any:
        """Return a JSON-LD context, bundled or allowed by the source definition. Raise LookupError
        for any other.
        """
        try:
            return builtin_context(address)
        except LookupError:
            if address not in self.options.contexts:
                raise LookupError(address) from None
        if address not in self.contexts:
            document = load_json(
                self.fetch.get(address, accept="application/ld+json, application/json;q=0.9")
            )
            if not isinstance(document, dict) or "@context" not in document:
                raise ParseError(
                    "%(source)s: %(url)s is not a JSON-LD context",
                    source=self.source.name,
                    url=address,
                )
            self.contexts[address] = document["@context"]
        return self.contexts[address]

    def parse_record(
        self, store: Store, key: str, node: Node, broken: NodeErrors | None = None
    ) -> Item[Graph]:
        """Return one record of a document; one with a *broken* part is unreadable."""
        item = describe(store, key, node, self.options.steps)
        if not broken or isinstance(item, InvalidRecord):
            return item
        own = (
            part for part in item.payload.properties if part == node or isinstance(part, BlankNode)
        )
        fault = next((broken[str(part)] for part in own if str(part) in broken), None)
        text = "a record that cannot be read: %(error)s"
        return InvalidRecord(key, Reason(text, error=fault)) if fault else item

    def find_records(self, store: Store, page: str | None = None) -> DiscoveredRecords:
        return find_records(store, self.classes, page)

    def parse_records(
        self, store: Store, result: DiscoveredRecords, broken: NodeErrors | None = None
    ) -> list[Item[Graph]]:
        records = [self.parse_record(store, key, node, broken) for key, node in result.records]
        return [*records, *unreadable_parts(result, broken or {})]


def unreadable_parts(result: DiscoveredRecords, broken: NodeErrors) -> Iterator[InvalidRecord]:
    """Yield the records without IRI and identifier, and the parts of a document that cannot be read
    and belong to no record; a blank node belongs to what points to it.
    """
    for node in result.keyless:
        label = node.value if isinstance(node, NamedNode) else Reason("a node without an IRI")
        yield InvalidRecord(
            None,
            Reason(
                "%(node)s: it has neither an identifier nor its own page, so it has no key",
                node=label,
            ),
        )
    nodes = {str(node) for _, node in result.records}
    for name, why in broken.items():
        if name not in nodes and not name.startswith("_:"):
            part = name or Reason("a part of the document")
            yield InvalidRecord(
                None, Reason("%(part)s cannot be read: %(error)s", part=part, error=why)
            )
