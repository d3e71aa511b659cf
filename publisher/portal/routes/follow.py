"""The pages below `/follow`: follow a search or a thing by feed, mail or webhook, confirm it, and
end it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.pages import Pages
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.following import (
    FREQUENCIES,
    Followed,
    SubscriptionStore,
    parse_followed,
    title_of,
)
from publisher.portal.sample import read_form
from publisher.portal.search_feed import FEED_FORMATS
from publisher.portal.source_preview import PreviewRunner
from publisher.portal.sources import source_titles
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import client_key
from web.endpoints import get
from web.problems import HTTPProblem

_MAX_FORM = 64 * 1024  # bytes

Secret = Annotated[str, Path(max_length=100, pattern="^[A-Za-z0-9_-]+$")]

router = APIRouter()


@get(router, "/follow", include_in_schema=False)
async def follow_form(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the page that offers the ways to follow a search or a thing; the parameters are those
    of `/search`, and `thing`.
    """
    followed = parse_followed(request.query_params, service.iris)
    return await _form(request, service, pages, followed, {}, "")


@router.post("/follow", include_in_schema=False)
async def request_subscription(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Store a subscription that its receiver has to confirm."""
    store = _store(request)
    sent = await read_form(request, _MAX_FORM, _MAX_FORM)
    fields = {name: value.decode("utf-8", "replace").strip() for name, value in sent.items()}
    followed = parse_followed(QueryParams(fields.get("search", "")), service.iris)
    error = _fault(fields, store)
    if error:
        return await _form(request, service, pages, followed, fields, error)
    quota: PreviewRunner = request.app.state.problem_quota
    quota.admit(client_key(request.scope))
    title = await _title(service, followed)
    language = current_locale().language
    link = await asyncio.to_thread(
        store.request,
        fields["channel"],
        fields["address"],
        followed.search,
        title,
        language,
        fields["frequency"],
    )
    return _state(pages, "sent", title=title, link=link, channel=fields["channel"])


def _fault(fields: dict[str, str], store: SubscriptionStore) -> str:
    """Return the name of the first field that is not valid, "" if all are."""
    if fields.get("website"):
        return "robot"
    if fields.get("channel") not in store.channels:
        return "channel"
    if fields.get("frequency") not in FREQUENCIES:
        return "frequency"
    return "" if store.is_address(fields["channel"], fields.get("address", "")) else "address"


@get(router, "/follow/confirm/{secret}", include_in_schema=False)
async def show_confirmation(request: Request, pages: PagesDep, secret: Secret) -> Response:
    """Show what the link confirms; the button does it, so that a program that follows links does
    not.
    """
    result = await asyncio.to_thread(_store(request).find, secret)
    return _state(
        pages,
        "confirmed" if result and result.is_confirmed else "confirm" if result else "unknown",
        found=result,
        secret=secret,
    )


@router.post("/follow/confirm/{secret}", include_in_schema=False)
async def confirm(request: Request, pages: PagesDep, secret: Secret) -> Response:
    """Confirm a subscription."""
    result = await asyncio.to_thread(_store(request).confirm, secret)
    return _state(pages, "confirmed" if result else "unknown", found=result, secret=secret)


@get(router, "/follow/stop/{secret}", include_in_schema=False)
async def show_stop(request: Request, pages: PagesDep, secret: Secret) -> Response:
    """Show what the link ends; the button does it."""
    result = await asyncio.to_thread(_store(request).find, secret)
    return _state(pages, "stop" if result else "unknown", found=result, secret=secret)


@router.post("/follow/stop/{secret}", include_in_schema=False)
async def stop(request: Request, pages: PagesDep, secret: Secret) -> Response:
    """End a subscription and delete what is stored about its receiver: by the button, or by a mail
    program (RFC 8058).
    """
    is_ended = await asyncio.to_thread(_store(request).end, secret)
    return _state(pages, "stopped" if is_ended else "unknown")


def _store(request: Request) -> SubscriptionStore:
    store: SubscriptionStore | None = request.app.state.subscription_store
    if store is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "This server sends no messages; take the feeds, or follow where the data are harvested"
            ),
        )
    return store


async def _title(service: QueryService, followed: Followed) -> str:
    tables = require_facet_index(service)
    labels = FacetLabels(service.iris, await source_titles(service))
    return await asyncio.to_thread(title_of, followed, tables, labels)


async def _form(
    request: Request,
    service: QueryService,
    pages: Pages,
    followed: Followed,
    fields: dict[str, str],
    error: str,
) -> Response:
    store: SubscriptionStore | None = request.app.state.subscription_store
    address = f"?{followed.search}" if followed.search else ""
    page = pages.page(
        "follow.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        title=await _title(service, followed),
        search=followed.search,
        results=f"/page/{followed.thing.removeprefix(f'{service.iris.base}id/')}"
        if followed.thing
        else f"/search{address}",
        feeds=[
            (row.label, f"/feeds/search.{row.suffix}{address}") for row in FEED_FORMATS.values()
        ],
        channels=store.channels if store else (),
        frequencies=FREQUENCIES,
        fields=dict.fromkeys(("channel", "address"), "") | {"frequency": "day"} | fields,
        error=error,
    )
    page.headers["Cache-Control"] = "no-store"
    return page


def _state(pages: Pages, state: str, **values: object) -> Response:
    code = HTTPStatus.NOT_FOUND if state == "unknown" else HTTPStatus.OK
    page = pages.page("follow_state.html", code, state=state, **values)
    page.headers["Cache-Control"] = "no-store"
    return page
