"""The pages for those who publish a registry: `/join`, a form that writes a source definition as TOML
step by step (docs/reference/sources.md), with a preview of its records, and `/validate`, which checks
a feed. Nothing is stored.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import tomlkit
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, current_locale
from languages.translations import gettext as _
from publisher.pages import Pages, PagesDep
from publisher.portal.facet_labels import NamesDep
from publisher.portal.feed_samples import (
    FORMATS,
    MAX_SAMPLE,
    SOURCE_FORMATS,
    FieldSuggestions,
    SourceFormat,
    suggest_fields,
)
from publisher.portal.source_report import translated_remedy
from publisher.portal.visitors import (
    MAX_FIELDS,
    MULTIPART,
    VisitorCommand,
    as_text,
    media_type,
    read_form,
)
from publisher.sparql.endpoint import FORM, read_body
from shapes.rules import message
from vocab.iris import is_web
from web.endpoints import contents, get, problems
from web.middleware import client_key
from web.respond import HTML, JSON, NO_STORE, Format, choose_format, require, respond
from web.sessions import check_origin

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
            return tomllib.loads(self.values.get("options", "")), ""
        except tomllib.TOMLDecodeError as error:
            return {}, str(error)

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


MAX_FEED = 16 << 20  # bytes of an upload
# The largest bodies by path, which are larger than those of other requests.
UPLOADS = {"/join": MAX_SAMPLE + MAX_FIELDS, "/validate": MAX_FEED + MAX_FIELDS}
_MAX_FINDINGS = 200  # findings on the page
_LARGEST = 1 << 20  # bytes of a preview that are read
_RESULTS = {
    "json": JSON,
    "sarif": Format("sarif", "SARIF", "application/sarif+json"),
    "junit": Format("junit", "JUnit", "application/xml", ("text/xml",)),
}
# The endings of the names of feeds that were sent without one, by format.
_ENDINGS = {
    "dcat": "ttl",
    "schema": "ttl",
    "stocktake": "ttl",
    "ical": "ics",
    "pod": "json",
    "ckan": "json",
    "spreadsheet": "xlsx",
}
_NOTHING: dict[str, Any] = {
    "records": (),
    "reported_total": None,
    "more": False,
    "error_kind": "",
    "error": "",
    "notes": (),
}

router = APIRouter()


@get(router, "/join", include_in_schema=False)
def join_form(request: Request, pages: PagesDep) -> Response:
    """Return the form, and the definition once the form is filled in; with `download`, the
    definition as a file.
    """
    state = from_query(request.query_params)
    if "download" in request.query_params and state.step == LAST_STEP:
        return respond(
            request,
            source_toml(state),
            "application/toml",
            headers={
                "Content-Disposition": f'attachment; filename="{state.name}.toml"',
                **NO_STORE,
            },
        )
    return _join_page(request, pages, state)


@router.post("/join", include_in_schema=False)
async def preview_definition(request: Request, pages: PagesDep) -> Response:
    """Return the form with a preview of the records that the definition would harvest, or with
    fields suggested from a sample.
    """
    fields = await read_form(request, MAX_SAMPLE)
    state, client = from_query(as_text(fields)), client_key(request.scope)
    command: VisitorCommand | None = request.app.state.commands.get("preview")
    if "suggest" in fields:
        sample = fields.get("file") or fields.get("sample", b"")
        suggestion = await asyncio.to_thread(suggest_fields, sample)
        return _join_page(request, pages, state, suggestion=suggestion)
    if command is None or state.step < LAST_STEP:
        return _join_page(request, pages, state)
    return _join_page(request, pages, state, await preview(command, source_toml(state), client))


def _join_page(
    request: Request,
    pages: Pages,
    state: WizardState,
    outcome: dict[str, Any] | None = None,
    suggestion: FieldSuggestions | None = None,
) -> Response:
    values = wizard_values(state, suggestion)
    return respond(
        request,
        pages.page(
            "source_wizard.html",
            **values,
            outcome=outcome,
            can_test="preview" in request.app.state.commands,
            can_submit=request.app.state.submissions_open(),
            download=f"/join?{values['query']}&download=1",
            message=urlencode(
                {"subject": state.values["title"], "body": values["source_toml"]}, quote_via=quote
            ),
        ),
        HTML,
        headers=NO_STORE,
    )


async def preview(command: VisitorCommand, definition: str, client: str) -> dict[str, Any]:
    """Preview a source definition for a client, with reasons in the language of the request.

    *error_kind* is the class of the error, "" for none. Raises StoreBusy and QuotaExceeded.
    """
    language = f"--language={current_locale().language}"
    try:
        output = await command.run(client, language, data=definition.encode())
        return {**_NOTHING, **orjson.loads(output[:_LARGEST])}
    except TimeoutError:
        late = _("The test did not end within %(seconds)s seconds.")
        return _NOTHING | {
            "error_kind": "late",
            "error": late % {"seconds": f"{command.seconds:g}"},
        }
    except orjson.JSONDecodeError:
        broken = _("The test ended without a result: it needed more memory than its limit.")
        return _NOTHING | {"error_kind": "broken", "error": broken}


@get(router, "/validate", include_in_schema=False)
def feed_form(request: Request, pages: PagesDep, names: NamesDep) -> Response:
    return _validate_page(request, pages, names.sources, None)


@router.post(
    "/validate",
    operation_id="validateFeed",
    summary="Check a feed before it is published",
    tags=["read"],
    responses={
        **contents(*(item.media for item in _RESULTS.values())),
        **problems(400, 403, 406, 413, 429, 503),
    },
)
async def validate(request: Request, pages: PagesDep, names: NamesDep) -> Response:
    """The feed is the body, or `file` or `url` of a form; `as`, `source` and `name` say how it is
    read. Nothing is stored.
    """
    chosen = choose_format(request, {**_RESULTS, "html": HTML})
    command: VisitorCommand = require(
        request.app.state.commands.get("check"),
        TranslatableText("Feeds cannot be checked here"),
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    feed, fields = await _read_feed(request)
    form = f"--format={'json' if chosen is HTML else chosen.suffix}"
    arguments = _arguments(feed, fields, names.sources)
    output = await command.check(client_key(request.scope), form, *arguments, data=feed)
    if chosen is HTML:
        return _validate_page(request, pages, names.sources, orjson.loads(output or "{}"))
    require(
        bool(output),
        TranslatableText("The check ended without a result: the feed needs more time or memory"),
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
    return respond(request, output, chosen, headers=NO_STORE)


async def _read_feed(request: Request) -> tuple[bytes, dict[str, str]]:
    names = ("as", "source", "name", "url")
    fields = {name: text for name, text in request.query_params.items() if name in names}
    if media_type(request) not in (MULTIPART, FORM):
        check_origin(request)
        return await read_body(request, MAX_FEED), fields
    sent = await read_form(request, MAX_FEED)
    feed = sent.pop("file", b"")
    return feed, fields | as_text(sent)


def _arguments(feed: bytes, fields: dict[str, str], titles: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments of the command; raises HTTPProblem for a field that is not valid."""
    kind, source, url = fields.get("as", ""), fields.get("source", ""), fields.get("url", "")
    require(
        kind in ("", *FORMATS),
        TranslatableText("as must be one of {names}", names=", ".join(FORMATS)),
        HTTPStatus.BAD_REQUEST,
    )
    require(
        source in ("", *titles),
        TranslatableText("source must be one of {names}", names=", ".join(sorted(titles))),
        HTTPStatus.BAD_REQUEST,
    )
    require(
        feed or is_web(url),
        TranslatableText("Send a file, or the http or https address of a feed"),
        HTTPStatus.BAD_REQUEST,
    )
    chosen = [f"--source={source}"] if source else [f"--as={kind}"] if kind else []
    name = fields.get("name") or f"feed.{_ENDINGS.get(kind, kind)}".rstrip(".")
    return (*chosen, f"--name={name[:200]}", "--", "-" if feed else url)


def _validate_page(
    request: Request, pages: Pages, titles: Mapping[str, str], report: dict[str, Any] | None
) -> Response:
    """Return the page with the result; *report* is None before a check, and empty if it ended
    without a result.
    """
    language, base = current_locale().language, pages.iris.base
    rules = {f"{base}shapes#{rule['rule']}": rule for rule in (report or {}).get("rules", ())}
    texts = {rule["rule"]: message(shape, language, base) for shape, rule in rules.items()}
    return respond(
        request,
        pages.page(
            "validate.html",
            report=report,
            texts={name: text for name, text in texts.items() if text},
            remedies={
                rule["rule"]: translated_remedy(shape, rule["remedy"], language, base)
                for shape, rule in rules.items()
            },
            findings=(report or {}).get("findings", [])[:_MAX_FINDINGS],
            kinds=FORMATS.values(),
            sources=sorted(titles.items(), key=lambda item: item[1].lower()),
            can_check="check" in request.app.state.commands,
            size=MAX_FEED >> 20,
        ),
        HTML,
        headers=NO_STORE,
    )
