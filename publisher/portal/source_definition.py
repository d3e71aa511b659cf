"""Write a source definition step by step from a form, as TOML (docs/reference/sources.md)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import tomlkit

from publisher.portal.feed_samples import (
    SOURCE_FORMATS,
    FieldSuggestions,
    SourceFormat,
    suggest_fields,
)

LAST_STEP = 4  # the definition is complete
LONGEST = 500  # characters of a field; options may have four times as many
_FORM_FIELDS = (
    *("title", "publisher", "url", "licence", "language", "options"),
    *("records", "key", "name", "description", "start", "countries", "goals", "pages"),
)
# The fields of a definition, by their names in the form.
_FIELDS = {
    name: name for name in ("key", "name", "description", "start", "countries", "goals", "pages")
} | {"name": "title"}


@dataclass(frozen=True)
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
        folded = unicodedata.normalize("NFKD", self.values.get("title", ""))
        plain = folded.encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "registry"

    @cached_property
    def _parsed(self) -> tuple[dict[str, Any], str]:
        """Return the options of the form, and the error in them, "" for none."""
        try:
            options = tomllib.loads(self.values.get("options", ""))
        except tomllib.TOMLDecodeError as error:
            return {}, str(error)
        fault = (
            "A time is no value of an option; write text, a number, true, false, a list or a table"
        )
        return (options, "") if _is_option(options) else ({}, fault)

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of the form, with the path of the records; {} if they are invalid."""
        path = self.values.get("records") if self.kind and self.kind.records else ""
        known = dict(self.kind.options) if self.kind else {}
        return known | ({"records": path} if path else {}) | self._parsed[0]

    @property
    def fault(self) -> str:
        return self._parsed[1]

    @property
    def step(self) -> int:
        """Return the next step: 1 format, 2 registry and URL, 3 fields, 4 the definition is
        complete.
        """
        if self.kind is None:
            return 1
        if self.fault or not all(self.values.get(name) for name in ("title", "url", "licence")):
            return 2
        needs_fields = self.kind.fields and not (self.values.get("key") and self.values.get("name"))
        return 3 if needs_fields else LAST_STEP


def _is_option(value: object) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, str | int | float | dict | list) and all(map(_is_option, items))


def from_query(params: Mapping[str, str]) -> WizardState:
    return WizardState(
        SOURCE_FORMATS.get(params.get("kind", "")),
        {
            name: params.get(name, "").strip()[: 4 * LONGEST if name == "options" else LONGEST]
            for name in _FORM_FIELDS
        },
    )


def with_suggestion(state: WizardState, suggestion: FieldSuggestions) -> WizardState:
    """Return the state with the suggestions from a sample; values entered by the visitor stay."""
    suggested = {
        "records": suggestion.records,
        "options": (_dump_toml({"split": _inline(suggestion.split)}) if suggestion.split else ""),
        **suggestion.fields,
    }
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
    values, language = state.values, state.values["language"]
    head = {
        "title": values["title"],
        "publisher": values["publisher"] or None,
        "protocol": state.kind.protocol,
        "mapping": state.kind.mapping,
        "url": values["url"],
        "every": tomlkit.item("15 3 * * *").comment("cron, UTC"),
        "licence": values["licence"],
        "language": language or None,
    }
    tagged = {"title": f"title@{language}", "description": f"description@{language}"}
    fields = {
        (tagged.get(field, field) if language else field): values[name] or None
        for name, field in _FIELDS.items()
    }
    options = {
        name: _inline(value) if isinstance(value, dict) else value
        for name, value in state.options.items()
    }
    parts = [f"# sources/{state.name}.toml\n{_dump_toml(head)}"]
    parts += [f"[options]\n{_dump_toml(options)}"] if options else []
    parts += [f"[fields]\n{_dump_toml(fields)}".rstrip()] if state.kind.fields else []
    return "\n\n".join(parts) + "\n"


def _dump_toml(values: Mapping[str, object]) -> str:
    document = tomlkit.document()
    document.update({name: value for name, value in values.items() if value is not None})
    return tomlkit.dumps(document).rstrip("\n")


def _inline(values: Mapping[str, object]) -> Any:
    table = tomlkit.inline_table()
    table.update(values)
    return table
