"""The page `/join`: a form that writes a source definition, and a preview of its records."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.portal.source_preview import PreviewOutcome, PreviewRunner
from publisher.portal.source_wizard import SOURCE_FORMATS, WizardState, from_query, source_toml
from publisher.sparql.protocol import FORM, parse_form, read_body
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import client_key

_MOST = 64 * 1024  # bytes of a form: its fields have at most 8,500 characters in all
_OURS = ("same-origin", "none")  # who may send the form; browsers state it (https://www.w3.org/TR/fetch-metadata/)


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of joining: by GET the form and the card, by POST a dry run of the card."""
    routes = APIRouter()

    def page(request: Request, state: WizardState, outcome: PreviewOutcome | None = None) -> Response:
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

    async def form(request: Request) -> Response:
        return page(request, from_query(request.query_params))

    async def dry_run(request: Request) -> Response:
        state = from_query({name: values[0] for name, values in (await _form(request)).items()})
        runner: PreviewRunner | None = request.app.state.preview_runner
        if runner is None or state.step < 4:
            return page(request, state)
        client = client_key(request.scope)
        return page(request, state, await runner.run(source_toml(state), client))

    routes.add_route("/join", form, methods=["GET", "HEAD"])
    routes.add_route("/join", dry_run, methods=["POST"])
    return routes


async def _form(request: Request) -> dict[str, list[str]]:
    """Read the form; raises Refused where it comes from another site or is none."""
    if request.headers.get("sec-fetch-site", "none") not in _OURS:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "The form is sent from our own page only")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST the form as {FORM}", {"Accept-Post": FORM})
    return parse_form(await read_body(request, _MOST))
