"""Namespaces, and the writer of N-Triples terms.

Lexical forms are canonical, so that a store returns what was written
(https://www.w3.org/TR/n-quads/#canonical-quads).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

from vocab.iris import is_web

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")  # Those of the labels.

XSD = "http://www.w3.org/2001/XMLSchema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
DCT = "http://purl.org/dc/terms/"
DCAT = "http://www.w3.org/ns/dcat#"
DQV = "http://www.w3.org/ns/dqv#"
FOAF = "http://xmlns.com/foaf/0.1/"
SCHEMA = "https://schema.org/"
ORG = "http://www.w3.org/ns/org#"
PROV = "http://www.w3.org/ns/prov#"
ADMS = "http://www.w3.org/ns/adms#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
SIOC = "http://rdfs.org/sioc/ns#"
SH = "http://www.w3.org/ns/shacl#"
WGS = "http://www.w3.org/2003/01/geo/wgs84_pos#"
GEO = "http://www.opengis.net/ont/geosparql#"
VIVO = "http://vivoweb.org/ontology/core#"
OWL = "http://www.w3.org/2002/07/owl#"
VCARD = "http://www.w3.org/2006/vcard/ns#"
SPDX = "http://spdx.org/rdf/terms#"
SSSOM = "https://w3id.org/sssom/"
SEMAPV = "https://w3id.org/semapv/vocab/"

_CACHE_SIZE = 8192  # The days of twenty years: about 1 MB.
_ESCAPE = re.compile('[\x00-\x1f"\\\\\x7f\ud800-\udfff\ufffe\uffff]')
_SHORT_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}
# RFC 5646 section 2.1 without grandfathered tags: stores refuse a file with one invalid tag.
_LANGUAGE = r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
_VARIANTS = r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*"
_PRIVATE = r"x(?:-[a-z0-9]{1,8})+"
_TAG = re.compile(
    rf"(?:{_LANGUAGE}{_VARIANTS}(?:-{_PRIVATE})?|{_PRIVATE})\Z", re.IGNORECASE | re.ASCII
)
# Longer values have a time and rarely repeat, so they are not cached.
_DATE_LENGTH = len("2024-02-29")
_YEAR = re.compile(r"[0-9]{4}\Z")
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])\Z")
_SECONDS = len("2024-02-29T12:00:00")
# A time in UTC or without a zone.
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z?\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # Lone surrogates cannot be encoded in UTF-8.
    return _SHORT_ESCAPES.get(char) or f"\\u{ord(char):04X}"


@lru_cache(maxsize=512)
def _tag(language: str) -> str:
    return f"@{language.lower()}" if _TAG.match(language) else ""


def literal(value: str, language: str | None = None) -> str:
    """Return *value* as a canonical N-Triples literal; a malformed language tag is dropped.

    >>> literal('say "hi"', "EN")
    '"say \\\\"hi\\\\""@en'
    >>> literal("chat", "en-"), literal("chat", "zh-Hans")
    ('"chat"', '"chat"@zh-hans')
    """
    # This test is fast, and all characters to escape are among those that it finds.
    if not value.isprintable() or '"' in value or "\\" in value:
        value = _ESCAPE.sub(_escape, value)
    return f'"{value}"{_tag(language)}' if language else f'"{value}"'


def iri_or_literal(value: str) -> str:
    """Return *value* as an IRI if it is a web address, else as a literal, which validation reports.

    >>> iri_or_literal("https://example.org/"), iri_or_literal("example.org")
    ('<https://example.org/>', '"example.org"')
    """
    return f"<{value}>" if is_web(value) else literal(value)


def date_literal(value: str) -> str:
    """Return a date as xsd:gYear, xsd:gYearMonth, xsd:date or xsd:dateTime (UTC); an invalid one as
    a plain literal.

    Source: https://www.w3.org/TR/xmlschema11-2/ sections 3.3.7 to 3.3.11.

    >>> date_literal("2024-02-30"), date_literal("2024-02-29")
    ('"2024-02-30"', '"2024-02-29"^^<http://www.w3.org/2001/XMLSchema#date>')
    >>> date_literal("2024-05-01T12:00:00+02:00")
    '"2024-05-01T10:00:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime>'
    """
    return _cached_date(value) if len(value) <= _DATE_LENGTH else _date_literal(value)


def _date_literal(value: str) -> str:
    try:
        # It is tested first: most values have this form.
        if len(value) >= _SECONDS and _TIME.match(value):
            datetime.fromisoformat(value)
            return f'"{value[:_SECONDS]}Z"^^<{XSD}dateTime>'
        if _YEAR.match(value) and value != "0000":
            return f'"{value}"^^<{XSD}gYear>'
        if _MONTH.match(value) and value[:4] != "0000":
            return f'"{value}"^^<{XSD}gYearMonth>'
        if _DAY.match(value):
            return f'"{date.fromisoformat(value)}"^^<{XSD}date>'
        if "T" in value:
            return instant(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        pass
    return literal(value)


_cached_date = lru_cache(_CACHE_SIZE)(_date_literal)


def instant(value: datetime) -> str:
    """Return a time as xsd:dateTime in UTC, whole seconds; a time without a zone is read as UTC."""
    utc = (
        value
        if value.tzinfo is UTC
        else value.replace(tzinfo=UTC)
        if value.tzinfo is None
        else value.astimezone(UTC)
    )
    return f'"{utc.isoformat()[:19]}Z"^^<{XSD}dateTime>'


def decimal(value: float) -> str:
    """Return a number as a canonical xsd:decimal with at most seven decimal places.

    >>> decimal(1.50)
    '"1.5"^^<http://www.w3.org/2001/XMLSchema#decimal>'
    """
    return f'"{_number(value)}"^^<{XSD}decimal>'


def geo_point(latitude: float, longitude: float) -> str:
    """Return a GeoSPARQL point in WGS 84, the longitude first.

    Source: https://docs.ogc.org/is/22-047r1/22-047r1.html section 8.5.1.

    >>> geo_point(-1.28, 36.8)
    '"POINT(36.8 -1.28)"^^<http://www.opengis.net/ont/geosparql#wktLiteral>'
    """
    return f'"POINT({_number(longitude)} {_number(latitude)})"^^<{GEO}wktLiteral>'


def _number(value: float) -> str:
    text = f"{value:.7f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def integer(value: int) -> str:
    return f'"{value}"^^<{XSD}integer>'


def hexadecimal(digits: str) -> str:
    """Return hexadecimal digits as xsd:hexBinary, in lower case."""
    return f"{literal(digits.lower())}^^<{XSD}hexBinary>"
