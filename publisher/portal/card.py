"""A card, written step by step from what a registry answers; the same card that ``sources/`` keeps (docs/sources.md)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

LONGEST = 500  # characters of an answer


class Kind(NamedTuple):
    """A way in which a registry can be read; *records*: the card says where the list is, *fields*: where the fields are."""

    name: str
    title: str
    example: str
    protocol: str
    mapping: str
    records: bool = False
    fields: bool = False


KINDS: dict[str, Kind] = {
    it.name: it
    for it in (
        Kind("oai-pmh", "OAI-PMH 2.0", "https://registry.example/oai", "oai-pmh", "oai_dc"),
        Kind("ckan", "CKAN", "https://registry.example", "ckan", "ckan_package"),
        Kind("json", "JSON", "https://registry.example/api/projects", "json", "fields", records=True, fields=True),
        Kind("csv", "CSV", "https://registry.example/projects.csv", "csv", "fields", fields=True),
        Kind("spreadsheet", "XLSX, XLS, ODS", "https://registry.example/projects.xlsx", "spreadsheet", "fields", fields=True),
        Kind("iati", "IATI 2.03", "https://registry.example/activities.xml", "iati", "iati_activity"),
        Kind("dcat", "DCAT (RDF)", "https://registry.example/catalog.ttl", "rdf", "dcat"),
        Kind("sparql", "SPARQL 1.1", "https://registry.example/sparql", "sparql", "dcat"),
        Kind("web", "schema.org (JSON-LD, microdata, RDFa)", "https://registry.example/sitemap.xml", "web", "schema_org"),
    )
}
_ASKED = ("title", "publisher", "url", "licence", "language", "records", "key", "name", "description", "start", "countries", "goals")
_FIELDS = {"key": "key", "name": "title", "description": "description", "start": "start", "countries": "countries", "goals": "goals"}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the registry answered so far, by the names of the form; *kind* is None before the first step."""

    kind: Kind | None
    told: Mapping[str, str]

    @property
    def name(self) -> str:
        """Give the source's name, made of the title: a to z, 0 to 9 and hyphens.

        >>> Answers(None, {"title": "Ministère des TIC: projets"}).name
        'ministere-des-tic-projets'
        """
        plain = unicodedata.normalize("NFKD", self.told.get("title", "")).encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "registry"

    @property
    def step(self) -> int:
        """Give the step that comes next: 1 how it is read, 2 who and where, 3 where the fields are, 4 the card is whole."""
        if self.kind is None:
            return 1
        if not all(self.told.get(name) for name in ("title", "url", "licence")):
            return 2
        return 3 if self.kind.fields and not (self.told.get("key") and self.told.get("name")) else 4


def given(params: Mapping[str, str]) -> Answers:
    """Read the answers from an address."""
    told = {name: params.get(name, "").strip()[:LONGEST] for name in _ASKED}
    return Answers(KINDS.get(params.get("kind", "")), told)


def card(it: Answers) -> str:
    """Write the card as TOML; "" before the first step."""
    if it.kind is None:
        return ""
    told = it.told
    lines = [f"# sources/{it.name}.toml", _line("title", told["title"])]
    lines += [_line("publisher", told["publisher"])] if told["publisher"] else []
    lines += [_line("protocol", it.kind.protocol), _line("mapping", it.kind.mapping), _line("url", told["url"])]
    lines += [_line("every", "15 3 * * *") + "  # cron, UTC", _line("licence", told["licence"])]
    lines += [_line("language", told["language"])] if told["language"] else []
    if it.kind.records and told["records"]:
        lines += ["", "[options]", _line("records", told["records"])]
    if it.kind.fields:
        language = f"@{told['language']}" if told["language"] else ""
        lines += ["", "[fields]"]
        for name, field in _FIELDS.items():
            key = f'"{field}{language}"' if field in ("title", "description") and language else field
            lines += [_line(key, told[name])] if told[name] else []
    return "\n".join(lines) + "\n"


def _line(key: str, text: str) -> str:
    """Write a pair; JSON's strings are TOML's basic strings too (https://toml.io/en/v1.0.0#string), but for DEL."""
    return f"{key} = {json.dumps(text, ensure_ascii=True)}".replace("\x7f", "\\u007f")
