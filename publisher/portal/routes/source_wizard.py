"""The page `/join`: a form that writes a source definition, and a preview of its records."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep
from publisher.pages import Pages
from publisher.portal.field_suggestions import MAX_SAMPLE, FieldSuggestions, suggest_fields
from publisher.portal.forms import read_form
from publisher.portal.sample import SampleError, fetch_sample
from publisher.portal.source_preview import PreviewOutcome, PreviewRunner
from publisher.portal.source_wizard import (
    LAST_STEP,
    WizardState,
    from_query,
    source_toml,
    wizard_values,
)
from publisher.store.workers.rate_limit import client_key
from web.endpoints import get

router = APIRouter()


@get(router, "/join", include_in_schema=False)
async def form(request: Request, pages: PagesDep) -> Response:
    """Return the form, and the definition once the form is filled in; with `download`, the
    definition as a file.
    """
    state = from_query(request.query_params)
    if "download" in request.query_params and state.step == LAST_STEP:
        headers = {
            "Content-Disposition": f'attachment; filename="{state.name}.toml"',
            "Cache-Control": "no-store",
        }
        return Response(source_toml(state), headers=headers, media_type="application/toml")
    return _page(request, pages, state)


@router.post("/join", include_in_schema=False)
async def preview(request: Request, pages: PagesDep) -> Response:
    """Return the form with a preview of the records that the definition would harvest, or with
    fields suggested from a sample.
    """
    fields = await read_form(request, MAX_SAMPLE)
    state = from_query({name: value.decode("utf-8", "replace") for name, value in fields.items()})
    runner: PreviewRunner | None = request.app.state.preview_runner
    client = client_key(request.scope)
    if "suggest" in fields:
        sample = fields.get("file") or fields.get("sample", b"")
        error = ""
        if not sample.strip() and runner is not None and state.values["url"]:
            runner.admit(client)
            try:
                sample = await fetch_sample(state.values["url"])
            except SampleError as problem:
                error = problem.kind
        suggestion = await asyncio.to_thread(suggest_fields, sample)
        return _page(request, pages, state, suggestion=suggestion, sample_error=error)
    if runner is None or state.step < LAST_STEP:
        return _page(request, pages, state)
    return _page(request, pages, state, await runner.run(source_toml(state), client))


def _page(
    request: Request,
    pages: Pages,
    state: WizardState,
    outcome: PreviewOutcome | None = None,
    suggestion: FieldSuggestions | None = None,
    sample_error: str = "",
) -> Response:
    runner: PreviewRunner | None = request.app.state.preview_runner
    values = wizard_values(state, suggestion)
    response = pages.page(
        "source_wizard.html",
        **values,
        outcome=outcome,
        can_test=runner is not None,
        can_submit=request.app.state.submissions_open(),
        sample_error=sample_error,
        download=f"/join?{values['query']}&download=1",
        message=urlencode(
            {"subject": state.values["title"], "body": values["source_toml"]}, quote_via=quote
        ),
    )
    response.headers["Cache-Control"] = "no-store"
    return response
