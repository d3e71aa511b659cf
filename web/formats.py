"""The formats of graphs and tables, and how a client chooses among them by the headers Accept and
Accept-Encoding.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 5.6.6 (parameters), 12.4.2 (q-values),
12.5.1 and 12.5.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from pyoxigraph import QueryResultsFormat, RdfFormat

_TOKEN = r"[!#$%&'*+.^_`|~\w-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PART = re.compile(rf"(?:{_QUOTED}|[^,\"])+")  # up to the next comma outside quotes
_RANGE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})\s*((?:;.*)?)\Z", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(rf";\s*({_TOKEN})\s*=\s*({_QUOTED}|{_TOKEN})", re.ASCII)
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_CODING = re.compile(r"\s*+(gzip|x-gzip|\*)\s*+(?:;\s*+q\s*+=\s*+([0-9.]++)\s*+)?\Z", re.IGNORECASE)
_IGNORED_PARAMETERS = {"charset"}  # every response is UTF-8


@dataclass(frozen=True, slots=True)
class Format:
    """A format: *media* is sent as Content-Type, *aliases* are also accepted in Accept."""

    suffix: str
    label: str
    media: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphFormat(Format):
    """A serialization of triples."""

    writer: RdfFormat = RdfFormat.TURTLE


@dataclass(frozen=True, slots=True)
class TableFormat(Format):
    """A serialization of query solutions."""

    writer: QueryResultsFormat = QueryResultsFormat.JSON


FormatT = TypeVar("FormatT", bound=Format)
GRAPHS = {
    row.suffix: row
    for row in (
        GraphFormat(
            "ttl",
            "Turtle",
            "text/turtle; charset=utf-8",
            ("application/x-turtle",),
            RdfFormat.TURTLE,
        ),
        GraphFormat(
            "nt", "N-Triples", "application/n-triples", ("text/plain",), RdfFormat.N_TRIPLES
        ),
        GraphFormat(
            "jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD
        ),
        GraphFormat(
            "rdf",
            "RDF/XML",
            "application/rdf+xml",
            ("application/xml", "text/xml"),
            RdfFormat.RDF_XML,
        ),
    )
}
HTML = Format("html", "HTML", "text/html; charset=utf-8", ("application/xhtml+xml",))
JSON = Format("json", "JSON", "application/json")
TABLES = {
    row.suffix: row
    for row in (
        TableFormat(
            "json",
            "JSON",
            "application/sparql-results+json",
            ("application/json",),
            QueryResultsFormat.JSON,
        ),
        TableFormat(
            "xml",
            "XML",
            "application/sparql-results+xml",
            ("application/xml", "text/xml"),
            QueryResultsFormat.XML,
        ),
        TableFormat("csv", "CSV", "text/csv; charset=utf-8", (), QueryResultsFormat.CSV),
        TableFormat(
            "tsv", "TSV", "text/tab-separated-values; charset=utf-8", (), QueryResultsFormat.TSV
        ),
    )
}
# The data formats of a resource: here application/json is our plain JSON, not an alias of JSON-LD.
DATA_FORMATS: dict[str, Format] = {**GRAPHS, "json": JSON}
FORMATS: dict[str, Format] = {**DATA_FORMATS, "html": HTML}


def media_types(entry: Format) -> tuple[str, ...]:
    """Return every media type that selects *entry*, its own first, without parameters.

    >>> media_types(GRAPHS["ttl"])
    ('text/turtle', 'application/x-turtle')
    """
    return (entry.media.partition(";")[0], *entry.aliases)


class MediaRange(NamedTuple):
    """A media range, such as ``text/*;q=0.3``; *parameters* exclude q."""

    kind: str
    subtype: str
    quality: float
    parameters: frozenset[tuple[str, str]]

    @property
    def precision(self) -> int:
        """Return how specific the range is. The most specific range that matches decides."""
        return (self.kind != "*") + (self.subtype != "*") + len(self.parameters)

    def includes(self, kind: str, subtype: str, parameters: frozenset[tuple[str, str]]) -> bool:
        return (
            self.kind in ("*", kind)
            and self.subtype in ("*", subtype)
            and self.parameters <= parameters
        )


@lru_cache(maxsize=512)
def parse_accept(accept: str) -> tuple[MediaRange, ...]:
    """Parse an Accept header. Invalid media ranges are skipped; an invalid q-value counts as 1.

    >>> [(item.subtype, item.quality) for item in parse_accept('text/html, text/*;q=0.3, nonsense, */*;q=2')]
    [('html', 1.0), ('*', 0.3), ('*', 1.0)]
    """
    return tuple(
        _parse_range(match) for part in _PART.findall(accept) if (match := _RANGE.match(part))
    )


def parse_parameters(text: str) -> dict[str, str]:
    """Parse the parameters of a media type: names in lower case, values without quotes."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        for name, value in _PARAMETER.findall(text)
    }


def _parse_range(match: re.Match[str]) -> MediaRange:
    params = parse_parameters(match[3])
    quality_text = params.pop("q", "1")
    narrowing = frozenset(
        (name, value) for name, value in params.items() if name not in _IGNORED_PARAMETERS
    )
    return MediaRange(
        match[1].lower(),
        match[2].lower(),
        float(quality_text) if _QUALITY.match(quality_text) else 1.0,
        narrowing,
    )


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether the header Accept-Encoding allows gzip; None: it is absent.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0, *"), accepts_gzip("*"), accepts_gzip(None)
    (True, False, True, False)
    """
    codings = {
        match[1].lower(): match[2] is None or match[2].strip("0.") != ""
        for part in (accept_encoding or "").split(",")
        if (match := _CODING.match(part))
    }
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", False)))


_ANYTHING = (MediaRange("*", "*", 1.0, frozenset()),)


def quality(accept: str | None, media: str) -> float:
    """Return the q-value of *media* in *accept*: that of the most specific matching range, 0 if
    none matches.

    A range with a parameter that *media* lacks counts only if no other range matches: few clients
    mean it strictly.

    >>> quality("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), quality("text/*;q=0.3", "image/png")
    (0.7, 0.0)
    >>> quality(None, "text/html"), quality("text/html;level=1, text/html;q=0.4", "text/html"), quality("text/html;level=1", "text/html")
    (1.0, 0.4, 1.0)
    """
    ranges = parse_accept(accept) if accept and accept.strip() else _ANYTHING
    name, _, rest = media.partition(";")
    kind, _, subtype = name.strip().lower().partition("/")
    media_parameters = frozenset(parse_parameters(f";{rest}").items())
    matches = [
        media_range
        for media_range in ranges
        if media_range.includes(kind, subtype, media_parameters)
    ] or [
        media_range
        for media_range in ranges
        if media_range.includes(kind, subtype, media_range.parameters)
    ]
    return (
        max(matches, key=lambda media_range: (media_range.precision, media_range.quality)).quality
        if matches
        else 0.0
    )


def best_match(accept: str | None, rows: Iterable[FormatT]) -> FormatT | None:
    """Return the format that *accept* prefers, the first of equals; None if it accepts none.

    An alias counts slightly less than the format's own media type, so that ``application/json``
    selects SPARQL's JSON.
    """
    ranked = [(_score(accept, candidate), candidate) for candidate in rows]
    top = max((score for score, _ in ranked), default=0.0)
    return (
        next((candidate for score, candidate in ranked if score == top), None) if top > 0 else None
    )


def _score(accept: str | None, candidate: Format) -> float:
    return max(
        quality(accept, name) - 0.0001 * (position > 0)
        for position, name in enumerate(media_types(candidate))
    )


def wants_html(accept: str | None, rows: Iterable[Format]) -> bool:
    """Return whether the client prefers HTML to all of *rows*. ``*/*`` alone selects data."""
    page = max(quality(accept, name) for name in media_types(HTML))
    data = max((_score(accept, candidate) for candidate in rows), default=0.0)
    return page > data or (
        page == data and page > 0 and accept is not None and "text/html" in accept.lower()
    )
