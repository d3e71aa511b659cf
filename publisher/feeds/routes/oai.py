"""``/oai``: OAI-PMH for repositories and aggregators that harvest all records or a set.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html (2.0).
"""

from __future__ import annotations

import asyncio
import time
from hashlib import blake2b
from http import HTTPStatus
from urllib.parse import parse_qsl

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.oai import tokens
from publisher.feeds.oai.arguments import parse_arguments
from publisher.feeds.oai.errors import OaiError
from publisher.feeds.oai.provider import Provider, admin_email
from publisher.feeds.xml_writing import element, instant
from publisher.http.conditional import SAFE_METHODS, matches_etag
from publisher.http.links import origin
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">'
)
_UNECHOED = ("badVerb", "badArgument")  # section 3.6: their request element has no attributes


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of ``/oai``."""
    routes = APIRouter()

    async def oai(request: Request) -> Response:
        url = origin(request) + "/oai"
        secret = await asyncio.to_thread(tokens.signing_key, service.journal)
        provider = Provider(service, url, admin_email(request.app.state.contact, service.iris.base), secret, pages.branding.name)
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
        data = await request.body() if request.method == "POST" else request.url.query.encode()
        try:
            return parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError as error:
            raise OaiError("badArgument", f"The arguments cannot be parsed: {error}") from error

    routes.add_route("/oai", oai, methods=["GET", "HEAD", "POST"])
    return routes
