"""The page `/join`: a form that writes a source definition, and a preview of its records."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.endpoints import get
from publisher.http.problems import HTTPProblem
from publisher.pages.dependencies import PagesDep
from publisher.pages.templating import Pages
from publisher.portal.source_preview import PreviewOutcome, PreviewRunner
from publisher.portal.source_wizard import SOURCE_FORMATS, WizardState, from_query, source_toml
from publisher.sparql.protocol import FORM, parse_form, read_body
from publisher.store.workers.rate_limit import client_key

_MOST = 64 * 1024  # bytes of a form: its fields have at most 8,500 characters in all
_OURS = (
    "same-origin",
    "none",
)  # who may send the form; browsers state it (https://www.w3.org/TR/fetch-metadata/)


router = APIRouter()


@get(router, "/join", include_in_schema=False)
async def form(request: Request, pages: PagesDep) -> Response:
    """Return the form, and the definition once the form is filled in."""
    return _page(request, pages, from_query(request.query_params))


@router.post("/join", include_in_schema=False)
async def preview(request: Request, pages: PagesDep) -> Response:
    """Return the form with a preview of the records that the definition would harvest."""
    state = from_query({name: values[0] for name, values in (await _form(request)).items()})
    runner: PreviewRunner | None = request.app.state.preview_runner
    if runner is None or state.step < 4:
        return _page(request, pages, state)
    client = client_key(request.scope)
    return _page(request, pages, state, await runner.run(source_toml(state), client))


def _page(
    request: Request, pages: Pages, state: WizardState, outcome: PreviewOutcome | None = None
) -> Response:
    runner: PreviewRunner | None = request.app.state.preview_runner
    response = pages.page(
        "source_wizard.html",
        state=state,
        source_toml=source_toml(state),
        source_formats=SOURCE_FORMATS,
        outcome=outcome,
        can_test=runner is not None,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


async def _form(request: Request) -> dict[str, list[str]]:
    """Read the form; raises Refused where it comes from another site or is none."""
    if request.headers.get("sec-fetch-site", "none") not in _OURS:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "The form is sent from our own page only")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST the form as {FORM}", {"Accept-Post": FORM}
        )
    return parse_form(await read_body(request, _MOST))
