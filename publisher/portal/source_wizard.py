"""Write a source definition step by step from a form, as TOML (docs/reference/sources.md)."""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from publisher.portal.field_suggestions import FieldSuggestions, suggest_fields

LAST_STEP = 4  # the definition is complete
LONGEST = 500  # characters of a field; options may have four times as many
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


class SourceFormat(NamedTuple):
    """A format of registries; *records*: the definition has the path of the list, *fields*: the
    paths of the fields.
    """

    name: str
    title: str
    example: str
    protocol: str
    mapping: str
    records: bool = False
    fields: bool = False


SOURCE_FORMATS: dict[str, SourceFormat] = {
    item.name: item
    for item in (
        SourceFormat("oai-pmh", "OAI-PMH 2.0", "https://registry.example/oai", "oai-pmh", "oai_dc"),
        SourceFormat("ckan", "CKAN", "https://registry.example", "ckan", "ckan_package"),
        SourceFormat(
            "json",
            "JSON",
            "https://registry.example/api/projects",
            "json",
            "fields",
            records=True,
            fields=True,
        ),
        SourceFormat(
            "csv", "CSV", "https://registry.example/projects.csv", "csv", "fields", fields=True
        ),
        SourceFormat(
            "spreadsheet",
            "XLSX, XLS, ODS",
            "https://registry.example/projects.xlsx",
            "spreadsheet",
            "fields",
            fields=True,
        ),
        SourceFormat(
            "iati", "IATI 2.03", "https://registry.example/activities.xml", "iati", "iati_activity"
        ),
        SourceFormat("dcat", "DCAT (RDF)", "https://registry.example/catalog.ttl", "rdf", "dcat"),
        SourceFormat("sparql", "SPARQL 1.1", "https://registry.example/sparql", "sparql", "dcat"),
        SourceFormat(
            "xml", "XML (OAI-PMH)", "https://registry.example/oai", "oai-pmh", "fields", fields=True
        ),
        SourceFormat(
            "pod", "data.json (POD, DCAT-US)", "https://registry.example/data.json", "pod", "dcat"
        ),
        SourceFormat(
            "feed", "Atom, RSS", "https://registry.example/feed.atom", "feed", "feed_entry"
        ),
        SourceFormat(
            "ical", "iCalendar", "https://registry.example/events.ics", "ical", "ical_event"
        ),
        SourceFormat(
            "web",
            "schema.org (JSON-LD, microdata, RDFa)",
            "https://registry.example/sitemap.xml",
            "web",
            "schema_org",
        ),
    )
}
_FORM_FIELDS = (
    *("title", "publisher", "url", "licence", "language", "options"),
    *("records", "key", "name", "description", "start", "countries", "goals", "pages"),
)
_FIELDS = {
    "key": "key",
    "name": "title",
    "description": "description",
    "start": "start",
    "countries": "countries",
    "goals": "goals",
    "pages": "pages",
}


@dataclass(frozen=True, slots=True)
class WizardState:
    """The values entered so far, by the names of the form; *kind* is None before the first step."""

    kind: SourceFormat | None
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the source's name, derived from the title: a to z, 0 to 9 and hyphens.

        >>> WizardState(None, {"title": "Ministère des TIC: projets"}).name
        'ministere-des-tic-projets'
        """
        plain = (
            unicodedata.normalize("NFKD", self.values.get("title", ""))
            .encode("ascii", "ignore")
            .decode()
            .lower()
        )
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "registry"

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of the form, with the path of the records; {} if they are invalid."""
        written = {} if self.fault else tomllib.loads(self.values.get("options", ""))
        return {
            **(
                {"records": self.values["records"]}
                if self.kind and self.kind.records and self.values.get("records")
                else {}
            ),
            **written,
        }

    @property
    def fault(self) -> str:
        """Return the error in the options, "" for none."""
        try:
            _table(tomllib.loads(self.values.get("options", "")))
        except (tomllib.TOMLDecodeError, TypeError) as error:
            return str(error)
        return ""

    @property
    def step(self) -> int:
        """Return the next step: 1 format, 2 registry and URL, 3 fields, 4 the definition is
        complete.
        """
        if self.kind is None:
            return 1
        if self.fault or not all(self.values.get(name) for name in ("title", "url", "licence")):
            return 2
        return (
            3
            if self.kind.fields and not (self.values.get("key") and self.values.get("name"))
            else 4
        )


def from_query(params: Mapping[str, str]) -> WizardState:
    """Return the state in the parameters of a URL."""
    values = {
        name: params.get(name, "").strip()[: 4 * LONGEST if name == "options" else LONGEST]
        for name in _FORM_FIELDS
    }
    return WizardState(SOURCE_FORMATS.get(params.get("kind", "")), values)


def with_suggestion(state: WizardState, suggestion: FieldSuggestions) -> WizardState:
    """Return the state with the suggestions from a sample; values entered by the visitor stay."""
    options = "\n".join(_table({"split": dict(suggestion.split)})) if suggestion.split else ""
    suggested = {"records": suggestion.records, "options": options, **suggestion.fields}
    filled = {name: text for name, text in suggested.items() if not state.values.get(name)}
    return WizardState(state.kind, {**state.values, **filled})


def wizard_values(state: WizardState, suggestion: FieldSuggestions | None = None) -> dict[str, Any]:
    """Return what the template of the form shows of *state* and of what a sample suggests."""
    state = with_suggestion(state, suggestion) if suggestion else state
    answers = {"kind": state.kind.name if state.kind else "", **state.values}
    return {
        "state": state,
        "is_complete": state.step == LAST_STEP,
        "source_toml": source_toml(state),
        "source_formats": SOURCE_FORMATS,
        "suggestion": suggestion,
        "query": urlencode({name: text for name, text in answers.items() if text}),
    }


def fill_in(params: Mapping[str, str], sample: bytes | None = None) -> dict[str, Any]:
    """Return what the template shows of the form with *params*, its fields suggested from *sample*
    if there is one.
    """
    suggestion = None if sample is None else suggest_fields(sample)
    return wizard_values(from_query(params), suggestion)


def source_toml(state: WizardState) -> str:
    """Write the source definition as TOML; "" before the first step."""
    if state.kind is None:
        return ""
    values = state.values
    lines = [f"# sources/{state.name}.toml", _line("title", values["title"])]
    lines += [_line("publisher", values["publisher"])] if values["publisher"] else []
    lines += [
        _line("protocol", state.kind.protocol),
        _line("mapping", state.kind.mapping),
        _line("url", values["url"]),
    ]
    lines += [_line("every", "15 3 * * *") + "  # cron, UTC", _line("licence", values["licence"])]
    lines += [_line("language", values["language"])] if values["language"] else []
    if state.options:
        lines += ["", "[options]", *_table(state.options)]
    if state.kind.fields:
        language = f"@{values['language']}" if values["language"] else ""
        lines += ["", "[fields]"]
        for name, field in _FIELDS.items():
            key = (
                f'"{field}{language}"' if field in ("title", "description") and language else field
            )
            lines += [_line(key, values[name])] if values[name] else []
    return "\n".join(lines) + "\n"


def _line(key: str, text: str) -> str:
    return f"{key} = {_value(text)}"


def _table(table: Mapping[str, Any]) -> list[str]:
    """Write a table's pairs; raises TypeError for a value that no option has."""
    return [
        f"{key if _BARE.match(key) else _value(key)} = {_value(value)}"
        for key, value in table.items()
    ]


def _value(value: object) -> str:
    """Write a value; JSON's strings are TOML's basic strings too
    (https://toml.io/en/v1.0.0#string), but for DEL.
    """
    if isinstance(value, dict):
        return "{ " + ", ".join(_table(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if not isinstance(value, str | bool | int | float):
        raise TypeError(
            f"{value!r} is no value of an option; write text, a number, true, false, a list or a table"
        )
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
