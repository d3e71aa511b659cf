"""Show the sources: each with its runs, its definition and its actions; check, try, compare and save definitions. Saving keeps every
version, with who saved it and why."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import tomlkit
from fastapi import APIRouter, Depends
from starlette.responses import PlainTextResponse, Response
from tomlkit.exceptions import TOMLKitError

from harvesters.admin import actions, pages, schemas
from harvesters.admin.context import (
    AdminContext,
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormFields,
    FormOperator,
    PageAdministrator,
    RendererDep,
    redirect,
)
from harvesters.admin.operations import perform, read_input
from harvesters.admin.schemas import RunView, run_views, source_view, source_views
from harvesters.errors import HarvestError
from harvesters.inspection.preview import RETRY_POLICY
from harvesters.ledger import operators
from harvesters.ledger.models import DefinitionVersion, Run, State
from harvesters.network.fetch import Fetch
from harvesters.runs.run_log import is_schedule_running
from harvesters.site import (
    DefinitionChanged,
    InvalidValue,
    NotFound,
    check_note,
    render_errors_as_pages,
)
from harvesters.source import Source
from vocab.field_changes import FieldView
from web.templating import PageRenderer

# The fields of the form, in its order.
FORM_TEXTS = ("title", "url", "licence", "publisher", "every", "language")
_SUGGESTED_PROTOCOLS = ("json", "csv")  # kinds of a sample that are protocols too
SHARES = ("vanished", "changed", "withheld")  # limits that the form shows as percentages


@dataclass(frozen=True, slots=True)
class Definition:
    """The text of a source definition; *digest* identifies it, so that no one overwrites what
    another person saved.
    """

    name: str
    text: str
    digest: str


def read_definition(context: AdminContext, name: str) -> Definition:
    """Return the definition of a source as it is on disk, even an invalid one; raise NotFound."""
    file = actions.definition_file(context, name)
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotFound("Unknown source.") from error
    return Definition(name, text, actions.digest(text))


def fetch_sample(context: AdminContext, url: str) -> bytes:
    """Return the first response of *url*; raise InvalidValue if it cannot be fetched."""
    try:
        with Fetch(replace(context.network, retry_policy=RETRY_POLICY), 0) as client:
            return client.get(url).content
    except HarvestError as error:
        raise InvalidValue("The data cannot be fetched: %(reason)s.", reason=str(error)) from error


def free_name(context: AdminContext, name: str) -> str:
    """Return *name*, with a number if a definition has it already."""
    numbered, number = name, 1
    while actions.definition_file(context, numbered).exists():
        number += 1
        numbered = f"{name}-{number}"
    return numbered


def suggest_fields(context: AdminContext, text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the definition *text* with what the first response of its `url` suggests for keys that
    it lacks, and all paths in that response, each with its field and its first values, those of a
    field first.

    Raises InvalidValue if nothing can be suggested.
    """
    try:
        document = tomlkit.parse(text)
        url = str(document.get("url") or "")
    except TOMLKitError as error:
        raise InvalidValue("The definition is not TOML: %(reason)s.", reason=str(error)) from error
    if not url or context.suggest_fields is None:
        raise InvalidValue('Write the address of the data first, as url = "https://...".')
    suggested = context.suggest_fields(fetch_sample(context, url))
    if suggested.kind not in _SUGGESTED_PROTOCOLS:
        raise InvalidValue(
            "No fields can be suggested: the data is neither a JSON list nor a table."
        )
    names = {"title" if name == "name" else name: path for name, path in suggested.fields.items()}
    known = {name.partition("@")[0] for name in document.get("fields", ())}
    split = tomlkit.inline_table()
    split.update(suggested.split)
    for table, key, value in (
        ("", "protocol", suggested.kind),
        ("", "mapping", "fields"),
        ("options", "records", suggested.records),
        ("options", "split", split),
        *(("fields", name, path) for name, path in names.items() if name not in known),
    ):
        if value:
            target = document.setdefault(table, tomlkit.table()) if table else document
            target.setdefault(key, value)
    by_path = {path: name for name, path in names.items()}
    paths = [
        {
            "path": path,
            "field": by_path.get(path, ""),
            "examples": suggested.examples.get(path, ()),
        }
        for path in dict.fromkeys((*by_path, *suggested.paths))
    ]
    return tomlkit.dumps(document), paths


def proposal_view(context: AdminContext, name: str) -> dict[str, Any] | None:
    """Return the proposed definition of a source, compared with the stored one; None without any."""
    proposal = operators.proposed_definition(context.ledger, name)
    return _compared(proposal, read_definition(context, name).text) if proposal else None


def version_views(context: AdminContext, name: str) -> list[dict[str, Any]]:
    """Return the saved versions of a definition, newest first, each compared with the one before
    it.
    """
    versions = operators.definition_versions(context.ledger, name)
    return list(map(_compared, versions, [*(version.text for version in versions[1:]), ""]))


def _compared(version: DefinitionVersion, before: str) -> dict[str, Any]:
    """Return who saved a version, when and why, and the lines that differ from the text *before*."""
    removed, added = compare_texts(before, version.text)
    about = {name: getattr(version, name) for name in ("when", "who", "note")}
    return {**about, "removed": removed, "added": added}


def compare_texts(before: str, after: str) -> tuple[list[str], list[str]]:
    r"""Return the lines that only *before* and only *after* have.

    >>> compare_texts("a\nb", "a\nc")
    (['b'], ['c'])
    """
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [line[2:] for line in lines if line.startswith("- ")], [
        line[2:] for line in lines if line.startswith("+ ")
    ]


def form_values(source: Source) -> dict[str, str]:
    """Return the values of a definition's form; shares are percentages."""
    values = {name: str(getattr(source, name) or "") for name in FORM_TEXTS}
    limits = source.limits
    shares = {name: f"{getattr(limits, name) * 100:g}" for name in SHARES}
    return values | {"pause": f"{source.pause:g}", "expect": f"{limits.expect:g}"} | shares


def apply_form(text: str, source: Source, form: Mapping[str, str]) -> str:
    """Return *text* with the values of the form that differ from *source*; comments and other keys
    stay.

    A *text* that is not TOML is returned as it is. Raises InvalidValue if a number cannot be read.
    """
    old = form_values(source)
    try:
        document = tomlkit.parse(text)
    except TOMLKitError:
        return text
    for name, value in form.items():
        if name in old and value.strip() != old[name]:
            if name in SHARES or name == "expect":
                limits = document.setdefault("limits", tomlkit.table())
                limits[name] = _number(value, percent=name in SHARES)
            else:
                document[name] = _number(value, percent=False) if name == "pause" else value.strip()
    enabled = form.get("enabled") == "yes"
    if enabled != source.enabled:
        document["enabled"] = enabled
    return tomlkit.dumps(document)


def _number(value: str, *, percent: bool) -> int | float:
    try:
        number = float(value)
    except ValueError as error:
        raise InvalidValue("%(value)s is not a number.", value=value[:40]) from error
    number = float(f"{number / 100 if percent else number:.10g}")
    return int(number) if number.is_integer() else number


_MAX_RUNS = 30
_WIDTH, _HEIGHT = 720, 96  # size of the drawing in its own units

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/sources")
def sources(show: RendererDep, context: ContextDep) -> Response:
    """List the sources with their status."""
    return show("sources.html", sources=source_views(context), wrong=context.invalid_sources())


@routes.get("/page/new-source")
def new_source(show: RendererDep, user: PageAdministrator, context: ContextDep) -> Response:
    """Show the form of the page `/join`, and once it is filled in its definition, to be tried and
    saved.
    """
    return _render_wizard(show, context, show.request.query_params)


@routes.post("/page/new-source")
def suggest_for_wizard(
    form: FormFields, show: RendererDep, user: FormAdministrator, context: ContextDep
) -> Response:
    """Show the form with fields that a pasted sample suggests, or the first response of the source."""
    sample = form.get("sample", "").strip().encode()
    try:
        sample = sample or fetch_sample(context, form.get("url", ""))
    except InvalidValue as error:
        return _render_wizard(show, context, form, problem=error.localized)
    return _render_wizard(show, context, form, sample)


def _render_wizard(
    show: PageRenderer,
    context: AdminContext,
    params: Mapping[str, str],
    sample: bytes | None = None,
    problem: str = "",
) -> Response:
    """Render the form; *problem* is why there is no *sample*."""
    values = context.fill_in(params, sample) if context.fill_in else {}
    edited = Definition("", "", "")
    if values.get("is_complete"):
        edited = Definition(free_name(context, values["state"].name), values["source_toml"], "")
    return _render_definition(show, edited, wizard=bool(values), sample_problem=problem, **values)


@routes.get("/page/sources/{name}")
def source(name: str, show: RendererDep, context: ContextDep) -> Response:
    """Show a source: its status, its last runs, its limits, and the versions of its definition."""
    view, requests = source_view(context, name), operators.run_requests(context.ledger, 1, name)
    result = requests[0].run if requests else None  # a run's id, or why there is none
    return show(
        "source.html",
        source=view,
        limits=context.source(name).limits,
        timeline=_timeline(context, name),
        drawing={"width": _WIDTH, "height": _HEIGHT, "runs": _MAX_RUNS},
        requests=requests,
        refusal=result if result and context.ledger.run(result) is None else None,
        schedule_runs=is_schedule_running(context.ledger, context.data),
        versions=version_views(context, name),
        proposal=proposal_view(context, name),
        limit_labels=pages.LIMITS,
    )


def _timeline(context: AdminContext, source: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the last runs of a source as rows of a table, the newest first, and as bars of a
    drawing, the oldest first.
    """
    runs = context.ledger.runs(source, _MAX_RUNS)
    rows = list(map(_timeline_row, runs, run_views(context, runs)))
    most = max((row["fetched"] for row in rows), default=0) or 1
    bars = [
        {
            "run": row["run"],
            "left": round(column * _WIDTH / _MAX_RUNS, 1),
            "top": round(_HEIGHT - height, 1),
            "height": round(height, 1),
        }
        for column, row in enumerate(reversed(rows), _MAX_RUNS - len(rows))
        for height in [max(4.0, _HEIGHT * row["fetched"] / most)]
    ]
    return {"rows": rows, "bars": bars}


def _timeline_row(run: Run, view: RunView) -> dict[str, Any]:
    """Return a run with its duration and the times of its responses in seconds, None if unknown,
    its bytes, and the share of its records that were published or unchanged, from 0 to 1.
    """
    fetched = run.counts.get("fetched", run.fetched)
    faulty = run.counts.get("withheld", 0) + run.counts.get("unreadable", 0)
    end, count = run.planned or run.ended, run.responses.get("count", 0)
    return {
        "run": view,
        "fetched": fetched,
        "seconds": int((end - run.started).total_seconds()) if end else None,
        "size": run.archived,
        "requests": run.network.get("sent", 0),
        "quality": max(0.0, 1 - faulty / fetched) if fetched else None,
        "response_time": run.responses["milliseconds"] / count / 1000 if count else None,
        "slowest": run.responses["slowest"] / 1000 if count else None,
        "received": run.responses.get("bytes", 0),
    }


@routes.get("/page/sources/{name}/definition")
def definition(
    name: str, show: RendererDep, user: PageAdministrator, context: ContextDep
) -> Response:
    """Show the form of a source definition, even of an invalid one."""
    return _render_definition(show, read_definition(context, name))


@routes.get("/page/sources/{name}/definition.toml")
def export_definition(name: str, user: CurrentUser, context: ContextDep) -> Response:
    """Download a source definition."""
    text = read_definition(context, name).text
    headers = {"Content-Disposition": f'attachment; filename="{name}.toml"'}
    return PlainTextResponse(text, headers=headers, media_type="application/toml")


@routes.post("/page/sources/{name}/preview")
def dry_run(name: str, show: RendererDep, user: FormOperator, context: ContextDep) -> Response:
    """Fetch and validate a few records of a source; nothing is stored."""
    return show(
        "preview.html",
        name=name,
        title=context.source(name).title,
        preview=perform(context, actions.preview, user.key, name, actions.preview.input()),
        mapped_fields=_mapped_fields(context),
    )


@routes.post("/page/definition")
def change_definition(
    form: FormFields, show: RendererDep, user: FormAdministrator, context: ContextDep
) -> Response:
    """Check a definition; try it, or save it, if it has no fault."""
    name, before = form.get("name", "").strip(), form.get("before", "")
    text = form.get("text", "").replace("\r\n", "\n")
    if form.get("form") == "fields":
        text = apply_form(read_definition(context, name).text, context.source(name), form)
    edited = Definition(name, text, before)
    if form.get("do") == "suggest":
        return _suggest_fields(show, context, edited)
    source, faults = actions.check_definition(name, text)
    if source is None:
        return _render_definition(show, edited, HTTPStatus.UNPROCESSABLE_ENTITY, faults=faults)
    if form.get("do") != "save":
        tried = actions.preview(context, source, by=user.key.display_name)
        return _render_definition(
            show, edited, preview=tried, mapped_fields=_mapped_fields(context)
        )
    note = check_note(form.get("note", ""))
    given = actions.save_definition.input(text=text, before=before, note=note)
    try:
        perform(context, actions.save_definition, user.key, name, given)
    except DefinitionChanged as error:
        current = read_definition(context, name)
        return _render_definition(
            show,
            replace(edited, digest=current.digest),
            HTTPStatus.CONFLICT,
            conflict=error.localized,
            theirs=compare_texts(current.text, text),
        )
    return redirect(_source_path(name))


def _suggest_fields(show: PageRenderer, context: AdminContext, edited: Definition) -> Response:
    """Show the definition with the fields that its data suggest, or with the reason why none are."""
    try:
        text, paths = suggest_fields(context, edited.text)
    except InvalidValue as error:
        status, problem = HTTPStatus.UNPROCESSABLE_ENTITY, error.localized
        return _render_definition(show, edited, status, problem=problem, faults=None)
    return _render_definition(show, replace(edited, text=text), paths=paths)


def _render_definition(
    show: PageRenderer, edited: Definition, status: HTTPStatus = HTTPStatus.OK, **values: object
) -> Response:
    source, faults = (
        actions.check_definition(edited.name, edited.text) if edited.text else (None, [])
    )
    defaults: Mapping[str, object] = {
        "edited": edited,
        "is_new": not edited.digest,
        "faults": faults,
        "fields": form_values(source) if source else None,
        "enabled": source.enabled if source else True,
        "limit_labels": pages.LIMITS,
        **dict.fromkeys(("preview", "paths", "problem", "conflict", "theirs", "wizard")),
    }
    return show("definition.html", status, **{**defaults, **values})


def _mapped_fields(context: AdminContext) -> Callable[[Sequence[str]], list[FieldView]]:
    """Return a function that returns the fields of mapped statements, labelled in the language of
    the request.
    """
    return lambda statements: schemas.changed_fields((), statements, context.base)


def _source_path(name: str) -> str:
    return f"/page/sources/{quote(name, safe='')}"


@routes.post("/page/sources/{name}/remap")
def remap(
    name: str, form: FormFields, show: RendererDep, user: FormOperator, context: ContextDep
) -> Response:
    """Show what mapping the archived data of a source again would change, or why it was not applied."""
    source, is_preview = context.source(name), form.get("do") != "apply"
    plan = context.ledger.last_run(name, [State.HELD])
    row: Mapping[str, Any] = {}
    if is_preview or plan is None:
        row = perform(context, actions.remap, user.key, name, read_input(actions.remap, form))
        if not is_preview and (not row or context.ledger.run(str(row.get("run")))):
            return redirect(f"/page/runs/{quote(row['run'])}" if row else _source_path(name))
    return show(
        "remap.html",
        HTTPStatus.OK if is_preview else HTTPStatus.CONFLICT,
        name=name,
        title=source.title,
        is_preview=is_preview,
        waiting=plan.id if plan else "",
        row=row,
        counts={kind: count for kind, count in row.get("counts", {}).items() if count},
        count_labels=pages.run_labels(context.base)["count_labels"],
    )
