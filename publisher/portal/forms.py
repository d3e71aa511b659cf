"""Read the forms that visitors send. Nothing of them is stored here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from publisher.dependencies import require
from publisher.sparql.endpoint import FORM
from web.respond import HTTPProblem
from web.sessions import check_origin

MULTIPART = "multipart/form-data"
MAX_FIELDS = 64 * 1024  # bytes of a form without files


async def read_form(request: Request, max_file: int = 0) -> dict[str, bytes]:
    """Return the fields of a form, with a file of at most *max_file* bytes; raises HTTPProblem if
    another site sends it, or if it is no form or too large.
    """
    check_origin(request)
    kind = media_type(request)
    if kind not in (FORM, MULTIPART):
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST the form as {FORM}", {"Accept-Post": FORM}
        )
    longest = MAX_FIELDS + (max_file if kind == MULTIPART else 0)
    require(
        len(await request.body()) <= longest,
        f"The form is longer than {longest:,} bytes",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
    async with request.form(max_files=1, max_part_size=longest) as form:
        return {
            name: value.encode("utf-8", "replace") if isinstance(value, str) else await value.read()
            for name, value in form.items()
        }


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def as_text(fields: dict[str, bytes]) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace").strip() for name, value in fields.items()}


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form without files; raises HTTPProblem as ``read_form``."""
    return as_text(await read_form(request))


FieldsDep = Annotated[dict[str, str], Depends(read_fields)]


def optional_store(name: str, missing: str) -> Any:
    """Return the dependency of routes on a store that the app has as *name*; it raises HTTPProblem
    (404) with the text *missing* if there is none, as on a mirror.
    """

    async def get_store(request: Request) -> Any:
        return require(getattr(request.app.state, name), missing)

    return Depends(get_store)


def first_fault(checks: dict[str, bool]) -> str:
    """Return the name of the first field that is not valid, "" if all are."""
    return next((name for name, is_valid in checks.items() if not is_valid), "")
