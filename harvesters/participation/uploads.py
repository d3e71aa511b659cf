"""Read what people send, in a child process: a submission as our own JSON, as JSON-LD or as Turtle,
and pictures, of which only the pixels are stored, in one format and up to one size.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from threading import Lock
from typing import Any

import orjson
from PIL import Image, ImageOps
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat
from starlette.responses import Response

from harvesters.errors import HarvestError, ParseError, parser_errors, require
from harvesters.ledger.participation import Content, Picture
from harvesters.network.reply import dump_json
from harvesters.participation.model import (
    CLASS_IRIS,
    MEMBERS,
    PARTIES,
    PARTY,
    PICTURE,
    PLACE,
    TEXT,
    TITLE,
    InvalidMembersError,
    Kind,
    normalize,
)
from harvesters.payloads.rdf_parser import builtin_context, inline_contexts, parse_quads
from harvesters.pipeline.processes import UPLOAD_LIMITS, BoundedCallError, call_bounded
from harvesters.site import InvalidValue, NotFound, TooLarge, UnsupportedMedia
from languages.translations import gettext
from vocab.terms import DCT, FOAF, ORG, RDF, RDFS, SCHEMA, SKOS, WGS

JSON, JSON_LD, TURTLE = "application/json", "application/ld+json", "text/turtle"
_NOTHING = "urn:x-stocktake:submission"  # resolves relative IRIs, so that a document may use <>
_SUBJECT = "It cannot be read"
# Bytes of the members as JSON. A node is written once for each node that names it, so that a small
# document can have large members.
_LARGEST = 1 << 20
Node = Mapping[str, list[Any]]  # the terms about a node by property


class _NotOneResourceError(HarvestError):
    """A document describes no resource of our types, or several; the message has the types."""


def read_document(body: bytes, media_type: str, base: str, language: str | None) -> Content:
    """Return the members of a submission in the form that is stored; a child process parses the
    body.

    JSON-LD with the register's own context, or without one, is our own JSON. Raises ParseError if
    the body cannot be parsed, InvalidMembersError if a member is not valid, and UnsupportedMedia
    for another media type.
    """
    if media_type not in (JSON, JSON_LD, TURTLE):
        raise UnsupportedMedia("Send %(types)s.", types=", ".join((JSON, JSON_LD, TURTLE)))
    try:
        members = call_bounded(parse_members, body, media_type, base, limits=UPLOAD_LIMITS)
    except BoundedCallError as error:
        raise ParseError(f"{_SUBJECT}: reading it {error}") from error
    except _NotOneResourceError as error:
        text = gettext("Describe one resource with one of these types: %(names)s.")
        raise InvalidMembersError({"type": text % {"names": error}}) from error
    return normalize(members, base, language)


def parse_members(body: bytes, media_type: str, base: str) -> Any:
    """Return the members of a body before they are normalized."""
    if media_type == TURTLE:
        members = _members(list(parse_quads(body, RdfFormat.TURTLE, _SUBJECT, _NOTHING)), base)
    else:
        members = _parse_json(body, media_type, base)
    if len(_dump(members)) > _LARGEST:
        raise ParseError(f"{_SUBJECT}: it names the same nodes too often")
    return members


def _parse_json(body: bytes, media_type: str, base: str) -> Any:
    with parser_errors(_SUBJECT):
        document = orjson.loads(body)
    _dump(document)  # refuses deep nesting, which bounds the recursion below
    if (
        media_type == JSON
        or not isinstance(document, dict)
        or document.get("@context") in (None, f"{base}context.jsonld")
    ):
        return document
    try:
        content = _dump(inline_contexts(document, builtin_context))
    except ValueError as error:
        raise ParseError(f"{_SUBJECT}: {error}") from error
    except LookupError as error:
        raise ParseError(
            f"{_SUBJECT}: the context {error.args[0]} is not built in; write its terms into the document"
        ) from error
    return _members(list(parse_quads(content, RdfFormat.JSON_LD, _SUBJECT, _NOTHING)), base)


def _dump(value: Any) -> bytes:
    """Return a value as JSON; raise ParseError if it is nested too deeply."""
    try:
        return dump_json(value)
    except ValueError as error:
        raise ParseError(f"{_SUBJECT}: {error}") from error


def property_iri(name: str, base: str) -> str:
    known = MEMBERS[name].iri
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
    require(len(typed) == 1, _NotOneResourceError(", ".join(types)))
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


def _value(name: str | None, terms: list[Any], graph: Mapping[str, Node]) -> Any:
    kind = MEMBERS[name].kind if name else None
    if kind in (TITLE, TEXT):
        return {term.language or "@none": term.value for term in terms if isinstance(term, Literal)}
    read = _READ.get(kind, _term_value)
    return [read(term, graph.get(str(term), {})) for term in terms]


def _term_value(term: Any, _: Node) -> Any:
    return getattr(term, "value", "")


def _party(term: Any, about: Node) -> Any:
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


def _place(_: Any, about: Node) -> Any:
    return {
        "label": _by_language(about, f"{RDFS}label"),
        **{name: next(_values(about, f"{WGS}{name}"), "") for name in ("lat", "long")},
    }


def _picture(term: Any, about: Node) -> Any:
    return {"id": getattr(term, "value", ""), "caption": _by_language(about, f"{SCHEMA}caption")}


# What reads a value by the kind of its member, from its term and what is said about it.
_READ: Mapping[Kind | None, Callable[[Any, Node], Any]] = {
    PARTY: _party,
    PARTIES: _party,
    PLACE: _place,
    PICTURE: _picture,
}


def _by_language(about: Node, iri: str) -> dict[str, str]:
    return {
        term.language or "@none": term.value
        for term in about.get(iri, ())
        if isinstance(term, Literal)
    }


def _values(about: Node, iri: str) -> Iterator[str]:
    return (term.value for term in about.get(iri, ()) if isinstance(term, Literal | NamedNode))


# ---- pictures

MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
ENCODED = "image/webp"
MAX_PICTURE = 10 * 1024 * 1024  # bytes
MAX_PIXELS = 25_000_000
MAX_SIDE = 10_000  # pixels
SIDE = 1_600  # largest width and height of a stored picture
_QUALITY = 82
# A browser that takes a picture for something else must not run it.
_POLICY = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_DECODING = Lock()  # one picture at a time: a large one takes 500 MB
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


def encode_picture(content: bytes) -> Picture:
    """Return the first picture of a file as WebP, upright, without metadata, and at most SIDE
    pixels wide and high; a child process decodes it.

    Its name is the SHA-256 of the stored bytes. Raises TooLarge for a file with too many bytes or
    pixels, InvalidValue for one that is damaged or not a JPEG, PNG, WebP or GIF.
    """
    if len(content) > MAX_PICTURE:
        raise TooLarge(
            "The picture has %(count)s bytes; at most %(limit)s are possible.",
            count=len(content),
            limit=MAX_PICTURE,
        )
    try:
        with _DECODING:
            return call_bounded(encode_webp, content, limits=UPLOAD_LIMITS)
    except BoundedCallError as error:
        raise _unreadable() from error


def encode_webp(content: bytes) -> Picture:
    """Decode a picture in this process, and encode it as ``encode_picture`` says."""
    output = BytesIO()
    try:
        with warnings.catch_warnings():
            # The size is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            source = Image.open(BytesIO(content), formats=tuple(MEDIA_TYPES.values()))
            if math.prod(source.size) > MAX_PIXELS or max(source.size) > MAX_SIDE:
                raise Image.DecompressionBombError
            source.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded smaller
            upright = ImageOps.exif_transpose(source)
            pixels = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            pixels.thumbnail((SIDE, SIDE))
            bare = Image.new(pixels.mode, pixels.size)  # has no profile, comment or position
            bare.paste(pixels)
            bare.save(output, "WEBP", quality=_QUALITY)
    except Image.DecompressionBombError as error:
        raise TooLarge(
            "The picture has too many pixels. Make it smaller: at most %(count)s are possible.",
            count=MAX_PIXELS,
        ) from error
    except _UNREADABLE as error:
        raise _unreadable() from error
    encoded = output.getvalue()
    return Picture(f"{sha256(encoded).hexdigest()}.webp", encoded, *bare.size)


def picture_response(picture: Picture | None, headers: Mapping[str, str] | None = None) -> Response:
    """Return a picture that browsers show and never run; raise NotFound if there is none."""
    return Response(
        require(picture, NotFound("There is no picture at this address.")).content,
        media_type=ENCODED,
        headers={**_POLICY, "Content-Disposition": "inline", **(headers or {})},
    )


def _unreadable() -> InvalidValue:
    return InvalidValue("The picture cannot be read. Send a JPEG, PNG, WebP or GIF file.")
