"""The metadata formats of OAI-PMH."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, serialize

from publisher.feeds.oai import datacite, dublin_core
from publisher.feeds.record_metadata import RecordMetadata, read_metadata
from publisher.history.change_reader import Change
from publisher.history.record_states import RecordState
from publisher.rdf.results import Term, replace_invalid_characters
from publisher.store.workers.results import PREFIXES
from vocab.iris import Iris

Write = Callable[[Change, RecordState, Iris], str]


@dataclass(frozen=True, slots=True)
class MetadataFormat:
    """A metadata format: its schema and namespace, and the function that writes a record."""

    schema: str
    namespace: str
    write: Write


def _from_metadata(write: Callable[[RecordMetadata], str]) -> Write:
    return lambda change, state, iris: write(read_metadata(change, state, iris))


def _rdf(change: Change, state: RecordState, iris: Iris) -> str:
    """Write all statements of the record's graph as RDF/XML."""
    triples = (
        Triple(NamedNode(s), NamedNode(p), _node(o))
        for s, p, o in sorted(state.statements, key=_sort_key)
    )
    data = (
        serialize(
            triples,
            format=RdfFormat.RDF_XML,
            prefixes={**PREFIXES, "wsis": iris.ns, "ops": iris.operations},
        )
        or b""
    )
    return replace_invalid_characters(data).decode().partition("?>")[2].lstrip()


def _sort_key(statement: tuple[str, str, Term]) -> tuple[str, str, str, str]:
    subject, predicate, value = statement
    return subject, predicate, value.value, value.language or ""


def _node(term: Term) -> NamedNode | Literal:
    if term.is_iri:
        return NamedNode(term.value)
    return Literal(
        term.value,
        language=term.language,
        datatype=NamedNode(term.datatype) if term.datatype and not term.language else None,
    )


FORMATS = {
    "oai_dc": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
        "http://www.openarchives.org/OAI/2.0/oai_dc/",
        _from_metadata(dublin_core.write),
    ),
    "datacite": MetadataFormat(
        "http://schema.datacite.org/meta/kernel-4.5/metadata.xsd",
        "http://datacite.org/schema/kernel-4",
        _from_metadata(datacite.write),
    ),
    "oai_datacite": MetadataFormat(
        "http://schema.datacite.org/oai/oai-1.1/oai.xsd",
        "http://schema.datacite.org/oai/oai-1.1/",
        _from_metadata(datacite.wrapped),
    ),
    "rdf": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/rdf.xsd",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        _rdf,
    ),
}
