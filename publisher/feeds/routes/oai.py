"""``/oai``: OAI-PMH for repositories and aggregators that harvest all records or a set.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html (2.0).
"""

from __future__ import annotations

import asyncio
import time
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.feeds.oai import tokens
from publisher.feeds.oai.arguments import VERBS, parse_arguments
from publisher.feeds.oai.errors import OaiError
from publisher.feeds.oai.formats import FORMATS
from publisher.feeds.oai.provider import Provider, admin_email
from publisher.feeds.xml_writing import element, instant
from web.conditional import SAFE_METHODS, matches_etag
from web.endpoints import contents, get, problems
from web.links import origin

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">'
)
_UNECHOED = ("badVerb", "badArgument")  # section 3.6: their request element has no attributes


Verb = Annotated[
    str | None, Query(description="The request", json_schema_extra={"enum": list(VERBS)})
]
Identifier = Annotated[str | None, Query(description="The OAI identifier of a record")]
MetadataPrefix = Annotated[
    str | None,
    Query(description="The format of records", json_schema_extra={"enum": list(FORMATS)}),
]
From = Annotated[
    str | None, Query(alias="from", description="Only records changed since this UTC day or second")
]
Until = Annotated[
    str | None, Query(description="Only records changed until this UTC day or second")
]
SetSpec = Annotated[
    str | None, Query(alias="set", description="Only records of this set, such as `goal:3`")
]
ResumptionToken = Annotated[
    str | None,
    Query(description="The token of the previous response; the only other argument is the verb"),
]

router = APIRouter()


async def oai_parameters(
    verb: Verb = None,
    identifier: Identifier = None,
    metadataPrefix: MetadataPrefix = None,
    since: From = None,
    until: Until = None,
    set_spec: SetSpec = None,
    resumptionToken: ResumptionToken = None,
) -> None:
    """Declare the arguments. They are read from the URL or the body, and the protocol's own errors
    answer invalid ones.
    """


@get(
    router,
    "/oai",
    operation_id="oai",
    summary="Answer a request of OAI-PMH 2.0",
    tags=["watch"],
    dependencies=[Depends(oai_parameters)],
    response_class=Response,
    response_description="The answer, or an error of the protocol",
    responses=contents("text/xml") | problems(503),
)
@router.post("/oai", include_in_schema=False)
async def oai(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Repositories and aggregators harvest all records or a set."""
    url = origin(request) + "/oai"
    secret = await asyncio.to_thread(tokens.signing_key, service.journal)
    provider = Provider(
        service,
        url,
        admin_email(request.app.state.contact, service.iris.base),
        secret,
        pages.branding.name,
    )
    timestamp, arguments = int(time.time()), dict[str, str]()
    try:
        arguments = parse_arguments(await _pairs(request))
        answer = await provider.answer(arguments)
    except OaiError as error:
        answer = element("error", str(error), code=error.code)
        arguments = {} if error.code in _UNECHOED else arguments
    echo = element("request", url, **arguments)
    # Weak, and without responseDate: a response of another second is equivalent.
    etag = f'W/"{blake2b(f"{echo}{answer}".encode(), digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.method in SAFE_METHODS and matches_etag(request.headers, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    body = f"{_HEAD}{element('responseDate', instant(timestamp))}{echo}{answer}</OAI-PMH>\n"
    return Response(body.encode(), headers={"Content-Type": "text/xml; charset=utf-8", **headers})


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """Return the arguments of the URL or, of a POST, the body; raises OaiError."""
    data = await request.body() if request.method == "POST" else request.url.query.encode()
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise OaiError("badArgument", f"The arguments cannot be parsed: {error}") from error
