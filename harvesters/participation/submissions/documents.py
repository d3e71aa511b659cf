"""Read a submission that was sent as our own JSON, as JSON-LD or as Turtle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat

from harvesters.errors import ParseError
from harvesters.ledger.participation.submissions import Content
from harvesters.parsing import parser_errors
from harvesters.participation.submissions.errors import UnsupportedMedia
from harvesters.participation.submissions.members import (
    CLASS_IRIS,
    MEMBERS,
    InvalidMembersError,
    Kind,
    normalize,
)
from harvesters.payloads.contexts import builtin_context, inline_contexts
from harvesters.payloads.rdf_parser import parse_quads
from languages.translations import gettext
from vocab.terms import DCT, FOAF, ORG, RDF, RDFS, SCHEMA, SKOS, WGS

JSON, JSON_LD, TURTLE = "application/json", "application/ld+json", "text/turtle"
_NOTHING = "urn:x-stocktake:submission"  # resolves relative IRIs, so that a document may use <>
_SUBJECT = "It cannot be read"


def read_document(body: bytes, media_type: str, base: str, language: str | None) -> Content:
    """Return the members of a submission in the form that is stored.

    JSON-LD with the register's own context, or without one, is our own JSON. Raises ParseError if
    the body cannot be parsed, InvalidMembersError, and UnsupportedMedia for another media type.
    """
    if media_type == TURTLE:
        quads = parse_quads(body, RdfFormat.TURTLE, _SUBJECT, _NOTHING)
        return normalize(_members(list(quads), base), base, language)
    if media_type not in (JSON, JSON_LD):
        raise UnsupportedMedia("Send %(types)s.", types=", ".join((JSON, JSON_LD, TURTLE)))
    with parser_errors(_SUBJECT):
        document = orjson.loads(body)
    if (
        media_type == JSON
        or not isinstance(document, dict)
        or document.get("@context") in (None, f"{base}context.jsonld")
    ):
        return normalize(document, base, language)
    try:
        document = inline_contexts(document, builtin_context)
    except LookupError as error:
        raise ParseError(
            f"{_SUBJECT}: the context {error.args[0]} is not built in; write its terms into the document"
        ) from error
    except RecursionError as error:
        raise ParseError(f"{_SUBJECT}: it is nested too deeply") from error
    quads = parse_quads(orjson.dumps(document), RdfFormat.JSON_LD, _SUBJECT, _NOTHING)
    return normalize(_members(list(quads), base), base, language)


def property_iri(name: str, base: str) -> str:
    """Return the IRI of a member's property."""
    known = MEMBERS[name].property
    return known if "://" in known else f"{base}ns#{known}"


def _members(quads: list[Quad], base: str) -> dict[str, Any]:
    """Return the members of the one resource of the document that has a type of ours."""
    types = {iri if "://" in iri else f"{base}ns#{iri}": name for name, iri in CLASS_IRIS.items()}
    typed = {
        str(quad.subject): (quad.subject, types[quad.object.value])
        for quad in quads
        if quad.predicate.value == f"{RDF}type"
        and isinstance(quad.object, NamedNode)
        and quad.object.value in types
    }
    if len(typed) != 1:
        raise InvalidMembersError(
            {
                "type": gettext("Describe one resource with one of these types: %(names)s.")
                % {"names": ", ".join(types)}
            }
        )
    subject, kind = next(iter(typed.values()))
    graph: dict[str, dict[str, list[Any]]] = {}
    for quad in quads:
        graph.setdefault(str(quad.subject), {}).setdefault(quad.predicate.value, []).append(
            quad.object
        )
    own = graph[str(subject)]
    known = {property_iri(name, base): name for name in MEMBERS if name != "why"}
    return {
        "type": kind,
        **{
            known.get(iri, iri): _value(known.get(iri), terms, graph)
            for iri, terms in own.items()
            if iri != f"{RDF}type"
        },
    }


def _value(name: str | None, terms: list[Any], graph: Mapping[str, Mapping[str, list[Any]]]) -> Any:
    kind = MEMBERS[name].kind if name else Kind.WORDS
    if kind in (Kind.TITLE, Kind.TEXT):
        return {term.language or "@none": term.value for term in terms if isinstance(term, Literal)}
    if kind in (Kind.PARTY, Kind.PARTIES):
        return [_party(term, graph.get(str(term), {})) for term in terms]
    if kind is Kind.PLACE:
        return [_place(graph.get(str(term), {})) for term in terms]
    if kind is Kind.PICTURE:
        return [
            {
                "id": getattr(term, "value", ""),
                "caption": _by_language(graph.get(str(term), {}), f"{SCHEMA}caption"),
            }
            for term in terms
        ]
    return [getattr(term, "value", "") for term in terms]


def _party(term: Any, about: Mapping[str, list[Any]]) -> Any:
    names = [
        value
        for iri in (f"{SKOS}prefLabel", f"{FOAF}name", f"{RDFS}label")
        for value in _values(about, iri)
    ]
    if isinstance(term, Literal) or not names:
        return term.value
    rest = {
        "country": next(_values(about, f"{DCT}spatial"), ""),
        "classification": next(_values(about, f"{ORG}classification"), ""),
    }
    return {"name": names[0], **rest}


def _place(about: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {
        "label": _by_language(about, f"{RDFS}label"),
        **{name: next(_values(about, f"{WGS}{name}"), "") for name in ("lat", "long")},
    }


def _by_language(about: Mapping[str, list[Any]], iri: str) -> dict[str, str]:
    return {
        term.language or "@none": term.value
        for term in about.get(iri, ())
        if isinstance(term, Literal)
    }


def _values(about: Mapping[str, list[Any]], iri: str) -> Iterator[str]:
    return (term.value for term in about.get(iri, ()) if isinstance(term, Literal | NamedNode))
