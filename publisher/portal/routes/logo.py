"""The logo of the installation, where it has one of its own."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from publisher.http.endpoints import get
from publisher.http.problems import HTTPProblem
from publisher.pages.branding import LOGO, LOGO_TYPES
from publisher.pages.dependencies import PagesDep

router = APIRouter()


@get(router, LOGO, include_in_schema=False)
async def logo(pages: PagesDep) -> Response:
    """Return the file."""
    file = pages.branding.logo
    if file is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            "This installation has no logo of its own; STOCKTAKE_LOGO sets one",
        )
    return FileResponse(
        file,
        media_type=LOGO_TYPES[file.suffix.lower()],
        headers={"Cache-Control": "public, max-age=3600"},
    )
