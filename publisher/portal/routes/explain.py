"""The page `/explain`: from a published statement to the bytes of the registry that it comes from."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.dependencies import PagesDep
from publisher.portal.source_preview import PreviewRunner
from publisher.store.workers.rate_limit import client_key
from web.endpoints import contents, get, problems
from web.formats import GRAPHS, HTML, JSON
from web.negotiation import choose_format
from web.problems import HTTPProblem

_TURTLE = GRAPHS["ttl"]
_FORMATS = (JSON, _TURTLE)
_NOTHING = TranslatableText(
    "There is nothing to explain: no such record, or this server has neither ledger nor archive, as a mirror"
)

router = APIRouter()


@get(
    router,
    "/explain",
    operation_id="explain",
    summary="Trace the statements of a record to run, request, bytes and field",
    tags=["read"],
    responses={
        **contents(HTML.media, JSON.media, _TURTLE.media),
        **problems(400, 404, 406, 429, 503),
    },
)
async def explain(
    request: Request,
    pages: PagesDep,
    iri: Annotated[
        str,
        Query(
            max_length=2000, description="IRI of a record or of a thing, or the path of its page"
        ),
    ] = "",
    property: Annotated[
        str, Query(max_length=500, description="End of a property's IRI; all without it")
    ] = "",
) -> Response:
    """A statement that the archived record does not yield again is ours, such as our dates."""
    chosen = choose_format(request.headers.get("accept"), _FORMATS)
    if chosen is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            TranslatableText(
                "Available: {formats}", formats=", ".join(row.media for row in _FORMATS)
            ),
        )
    runner: PreviewRunner | None = request.app.state.preview_runner
    explainer = runner.explainer if runner else None
    output = b""
    if iri and explainer is not None:
        name = "turtle" if chosen is _TURTLE else "json"
        output = await explainer.check(
            (f"--format={name}", "--", iri, property), b"", client_key(request.scope)
        )
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if chosen is not HTML and iri:
        if not output:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, _NOTHING)
        return Response(output, media_type=chosen.media, headers=headers)
    status = HTTPStatus.NOT_FOUND if iri and not output else HTTPStatus.OK
    page = pages.page(
        "explain.html",
        status,
        iri=iri,
        name=property,
        explanation=orjson.loads(output) if output else None,
    )
    page.headers.update(headers)
    return page
