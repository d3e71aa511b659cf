"""Recognize the format of a sample: by its first characters, the name of its first element, or the
namespaces that it mentions.
"""

from __future__ import annotations

import codecs
import re

from publisher.portal.field_suggestions import table_rows
from publisher.portal.source_wizard import SOURCE_FORMATS, SourceFormat
from vocab.iris import BASE

_HEAD = 256 << 10  # bytes that are read
_ARCHIVE, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # how XLSX and ODS begin, and XLS
_ROOT = re.compile(r"<(?!\?|!)(?:[\w.-]+:)?([\w.-]+)")
_TURTLE = re.compile(
    r"(?im)^[ \t]*@?(?:prefix[ \t]+[^\s:<>,;\"']*:|base)[ \t]*<|^<[^>\s]{1,500}>[ \t]<[^>\s]{1,500}>[ \t][<\"_]"
)
_ROOTS = {
    "OAI-PMH": "oai-pmh",
    "iati-activities": "iati",
    "iati-organisations": "iati",  # its reader explains why it refuses them
    "rss": "feed",
    "feed": "feed",
    "html": "web",
    "urlset": "web",
    "channel": "feed",
}
_RDF_FORMATS = {
    item.name: item
    for item in (
        SourceFormat(
            "schema", "schema.org (RDF)", "https://registry.example/data.ttl", "rdf", "schema_org"
        ),
        SourceFormat(
            "stocktake",
            "Stocktake (RDF)",
            "https://registry.example/records.ttl",
            "rdf",
            "stocktake_record",
        ),
    )
}
FORMATS = {**SOURCE_FORMATS, **_RDF_FORMATS}


def detect_format(sample: bytes, base: str = BASE) -> SourceFormat | None:
    """Return the format of *sample*, None if it is not recognized; *base* is that of our own IRIs.

    >>> [detect_format(text).name for text in (b'id,title\\n1,Clinics', b'<rss version="2.0">', b'{"items": [{"id": 1}]}')]
    ['csv', 'feed', 'json']
    """
    name = _format_name(sample[:_HEAD], base)
    return FORMATS[name] if name else None


def _format_name(head: bytes, base: str) -> str | None:
    if head.startswith((_ARCHIVE, _OLE)):
        return "spreadsheet"
    text = _decode(head).strip()
    if text.startswith(("{", "[")):
        return _json_format(text, base)
    if text.startswith("<") and not _TURTLE.match(text):
        return _xml_format(text, base)
    if text[:100].upper().startswith("BEGIN:VCALENDAR"):
        return "ical"
    if _TURTLE.search(text):
        return _rdf_format(text, base)
    return "csv" if table_rows(text) else None


def _decode(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace")
    return head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def _json_format(text: str, base: str) -> str:
    if "project-open-data" in text and '"dataset"' in text:
        return "pod"
    if re.search(r'"@(?:context|graph|id)"\s*:', text):
        return _rdf_format(text, base)
    return "ckan" if re.match(r'\{\s*"(?:help|success)"', text) and '"result"' in text else "json"


def _xml_format(text: str, base: str) -> str | None:
    match = _ROOT.search(text)
    root = match.group(1) if match else ""
    if root == "RDF":
        return "feed" if "http://purl.org/rss/1.0/" in text[:2000] else _rdf_format(text, base)
    known = _ROOTS.get(root) or _ROOTS.get(root.lower())
    # its reader explains why it refuses a DOCTYPE
    return known or ("oai-pmh" if "<!DOCTYPE" in text[:4096].upper() else None)


def _rdf_format(text: str, base: str) -> str:
    if f"{base}ontology" in text:
        return "stocktake"
    return "schema" if "schema.org" in text and "/ns/dcat#" not in text else "dcat"
