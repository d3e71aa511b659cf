"""Read the forms of the admin pages (application/x-www-form-urlencoded)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from harvesters.admin.pages import BASE_PATH
from harvesters.site import read_fields

_MAX_FORM_BYTES = 60_000  # a source definition and a note
_MAX_FORM_FIELDS = 60  # a page of plans to approve together


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form of this site; of a field with several values, the last one."""
    fields = await read_fields(request, _MAX_FORM_BYTES, _MAX_FORM_FIELDS)
    return {name: values[-1] for name, values in fields.items()}


def redirect(path: str) -> Response:
    """Redirect to an admin page after a form."""
    return RedirectResponse(BASE_PATH + path, HTTPStatus.SEE_OTHER)


FormFields = Annotated[Mapping[str, str], Depends(read_form)]
