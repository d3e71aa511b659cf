"""Read the forms that visitors send. Nothing of them is stored here."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from publisher.dependencies import require
from publisher.sparql.protocol import FORM, parse_form, read_body
from web.problems import HTTPProblem
from web.sessions import check_origin

MULTIPART = "multipart/form-data"
UNCACHED = {"Cache-Control": "no-store"}  # no cache may store the response
MAX_FIELDS = 64 * 1024  # bytes of a form without files


def parse_multipart(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the fields of a form in multipart/form-data (RFC 7578), files too; {} if it is
    invalid.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="a"\\r\\n\\r\\n1\\r\\n--x--\\r\\n'
    >>> parse_multipart("multipart/form-data; boundary=x", body)
    {'a': b'1'}
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes) and (payload or name not in fields):
            fields[name] = payload
    return fields


async def read_form(request: Request, max_file: int = 0) -> dict[str, bytes]:
    """Return the fields of a form, with a file of at most *max_file* bytes; raises HTTPProblem if
    another site sends it, or if it is no form or too large.
    """
    check_origin(request)
    content_type = request.headers.get("content-type", "")
    kind = media_type(request)
    if kind == MULTIPART:
        return parse_multipart(content_type, await read_body(request, max_file + MAX_FIELDS))
    if kind != FORM:
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST the form as {FORM}", {"Accept-Post": FORM}
        )
    fields = parse_form(await read_body(request, MAX_FIELDS))
    return {name: values[0].encode("utf-8", "replace") for name, values in fields.items()}


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
