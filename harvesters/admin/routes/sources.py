"""Show the sources: each with its runs, its definition and its actions; check, try and save
definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from harvesters.admin import definitions, effects, labels
from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormOperator,
    PageAdministrator,
    User,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.forms import FormFields, redirect
from harvesters.admin.pagination import run_views
from harvesters.admin.schemas import RunView, source_view, source_views
from harvesters.ledger import operators
from harvesters.ledger.models import ActionType, Run, State
from harvesters.problems import DefinitionChanged, InvalidValue
from harvesters.runs.locks import is_schedule_running
from harvesters.runs.operations import audit
from harvesters.site import check_note, render_errors_as_pages
from vocab.field_changes import FieldView
from web.templating import get_pages

_MAX_RUNS = 30
_WIDTH, _HEIGHT = 720, 96  # size of the drawing in its own units

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/sources")
def sources(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """List the sources with their status."""
    values = {"user": user, "sources": source_views(context), "wrong": context.invalid_sources()}
    return get_pages(request).render("sources.html", values)


@routes.get("/page/new-source")
def new_source(request: Request, user: PageAdministrator, context: ContextDep) -> Response:
    """Show the form of the page `/join`, and once it is filled in its definition, to be tried and
    saved.
    """
    return _render_wizard(request, user, context, request.query_params)


@routes.post("/page/new-source")
def suggest_for_wizard(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Show the form with fields that a pasted sample suggests, or the first response of the source."""
    sample = form.get("sample", "").strip().encode()
    try:
        sample = sample or definitions.fetch_sample(context, form.get("url", ""))
    except InvalidValue as error:
        return _render_wizard(request, user, context, form, problem=error.localized)
    return _render_wizard(request, user, context, form, sample)


def _render_wizard(
    request: Request,
    user: User,
    context: AdminContext,
    params: Mapping[str, str],
    sample: bytes | None = None,
    problem: str = "",
) -> Response:
    """Render the form; *problem* is why there is no *sample*."""
    values = context.fill_in(params, sample) if context.fill_in else {}
    edited = definitions.Definition("", "", "")
    if values.get("is_complete"):
        name = definitions.free_name(context, values["state"].name)
        edited = definitions.Definition(name, values["source_toml"], "")
    return _render_definition(
        request, user, edited, wizard=bool(values), sample_problem=problem, **values
    )


@routes.get("/page/sources/{name}")
def source(name: str, request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show a source: its status, its last runs, its limits, and the versions of its definition."""
    view, requests = source_view(context, name), operators.run_requests(context.ledger, 1, name)
    result = requests[0].run if requests else None  # a run's id, or why there is none
    values = {
        "user": user,
        "source": view,
        "limits": context.source(name).limits,
        "timeline": _timeline(context, name),
        "drawing": {"width": _WIDTH, "height": _HEIGHT, "runs": _MAX_RUNS},
        "requests": requests,
        "refusal": result if result and context.ledger.run(result) is None else None,
        "schedule_runs": is_schedule_running(context.ledger, context.data),
        "versions": definitions.version_views(context, name),
        "proposal": definitions.proposal_view(context, name),
        "limit_labels": labels.LIMITS,
    }
    return get_pages(request).render("source.html", values)


def _timeline(context: AdminContext, source: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the last runs of a source as rows of a table, the newest first, and as bars of a
    drawing, the oldest first.
    """
    runs = context.ledger.runs(source, _MAX_RUNS)
    rows = list(map(_timeline_row, runs, run_views(context, runs)))
    most = max((row["fetched"] for row in rows), default=0) or 1
    bars = []
    for column, row in enumerate(reversed(rows), _MAX_RUNS - len(rows)):
        height = max(4.0, _HEIGHT * row["fetched"] / most)
        left, top = round(column * _WIDTH / _MAX_RUNS, 1), round(_HEIGHT - height, 1)
        bars.append({"run": row["run"], "left": left, "top": top, "height": round(height, 1)})
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
    name: str, request: Request, user: PageAdministrator, context: ContextDep
) -> Response:
    """Show the form of a source definition, even of an invalid one."""
    return _render_definition(request, user, definitions.read_definition(context, name))


@routes.get("/page/sources/{name}/definition.toml")
def export_definition(name: str, user: CurrentUser, context: ContextDep) -> Response:
    """Download a source definition."""
    text = definitions.read_definition(context, name).text
    headers = {"Content-Disposition": f'attachment; filename="{name}.toml"'}
    return PlainTextResponse(text, headers=headers, media_type="application/toml")


@routes.post("/page/sources/{name}/preview")
def dry_run(name: str, request: Request, user: FormOperator, context: ContextDep) -> Response:
    """Fetch and validate a few records of a source; nothing is stored."""
    source = context.source(name)
    values = {
        "user": user,
        "name": name,
        "title": source.title,
        "preview": definitions.preview(context, source),
    }
    values["mapped_fields"] = _mapped_fields(context)
    return get_pages(request).render("preview.html", values)


@routes.post("/page/definition")
def change_definition(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Check a definition; try it, or save it, if it has no fault."""
    name, before = form.get("name", "").strip(), form.get("before", "")
    text = form.get("text", "").replace("\r\n", "\n")
    if form.get("form") == "fields":
        current = definitions.read_definition(context, name)
        text = definitions.apply_form(current.text, context.source(name), form)
    if form.get("do") == "suggest":
        return _suggest_fields(request, user, context, definitions.Definition(name, text, before))
    edited = definitions.Definition(name, text, before)
    source, faults = definitions.check_definition(name, text)
    if source is None:
        return _render_definition(
            request, user, edited, HTTPStatus.UNPROCESSABLE_ENTITY, faults=faults
        )
    if form.get("do") != "save":
        preview = definitions.preview(context, source)
        return _render_definition(
            request, user, edited, preview=preview, mapped_fields=_mapped_fields(context)
        )
    note = check_note(form.get("note", ""))
    try:
        definitions.save_definition(context, user.key.display_name, name, text, before, note)
    except DefinitionChanged as error:
        current = definitions.read_definition(context, name)
        edited = definitions.Definition(name, text, current.digest)
        conflict = {
            "conflict": error.localized,
            "theirs": definitions.compare_texts(current.text, text),
        }
        return _render_definition(request, user, edited, HTTPStatus.CONFLICT, **conflict)
    return redirect(_source_path(name))


def _suggest_fields(
    request: Request, user: User, context: AdminContext, edited: definitions.Definition
) -> Response:
    """Show the definition with the fields that its data suggest, or with the reason why none are."""
    try:
        text, paths = definitions.suggest_fields(context, edited.text)
    except InvalidValue as error:
        return _render_definition(
            request,
            user,
            edited,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            problem=error.localized,
            faults=None,
        )
    return _render_definition(request, user, replace(edited, text=text), paths=paths)


@routes.post("/page/sources/{name}/proposal")
def decide_proposal(
    name: str, form: FormFields, user: FormAdministrator, context: ContextDep
) -> Response:
    """Confirm or discard a proposed definition."""
    decide = (
        definitions.confirm_proposal
        if form.get("do") == "confirm"
        else definitions.discard_proposal
    )
    decide(context, user.key.display_name, name)
    return redirect(_source_path(name))


def _render_definition(
    request: Request,
    user: User,
    edited: definitions.Definition,
    status: HTTPStatus = HTTPStatus.OK,
    **values: object,
) -> Response:
    source, faults = (
        definitions.check_definition(edited.name, edited.text) if edited.text else (None, [])
    )
    defaults: Mapping[str, object] = {
        "user": user,
        "edited": edited,
        "is_new": not edited.digest,
        "faults": faults,
        "fields": definitions.form_values(source) if source else None,
        "enabled": source.enabled if source else True,
        "limit_labels": labels.LIMITS,
        "preview": None,
        "paths": None,
        "problem": None,
        "conflict": None,
        "theirs": None,
        "wizard": False,
    }
    return get_pages(request).render("definition.html", {**defaults, **values}, status)


def _mapped_fields(context: AdminContext) -> Callable[[Sequence[str]], list[FieldView]]:
    """Return a function that returns the fields of mapped statements, labelled in the language of
    the request.
    """
    return lambda statements: effects.changed_fields((), statements, context.base)


def _source_path(name: str) -> str:
    return f"/page/sources/{quote(name, safe='')}"


@routes.post("/page/sources/{name}/remap")
def remap(
    name: str, form: FormFields, request: Request, user: FormOperator, context: ContextDep
) -> Response:
    """Map the archived data of a source again: show what that would change, or publish it by a run
    with its plan.
    """
    source, is_preview = context.source(name), form.get("do") != "apply"
    plan = context.ledger.last_run(name, [State.HELD])
    row: Mapping[str, Any] = {}
    if is_preview:
        row = context.remap(name, True)
    elif plan is None:
        by = user.key.display_name
        audit(context.reader(), by, ActionType.REQUESTED, name, note="remap")
        row = context.remap(name, False)
        if not row or context.ledger.run(str(row.get("run"))):
            return redirect(f"/page/runs/{quote(row['run'])}" if row else _source_path(name))
    values = {
        "user": user,
        "name": name,
        "title": source.title,
        "is_preview": is_preview,
        "waiting": plan.id if plan else "",
        "row": row,
        "counts": {kind: count for kind, count in row.get("counts", {}).items() if count},
        "count_labels": labels.run_labels(context.base)["count_labels"],
    }
    status = HTTPStatus.OK if is_preview else HTTPStatus.CONFLICT
    return get_pages(request).render("remap.html", values, status)
