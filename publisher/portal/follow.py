"""The pages below `/follow`: follow a search, or one thing, by feed, mail or webhook, confirm it,
and end it; what has changed in its results since they were last compared; and
``/feeds/search.atom`` and ``/feeds/search.json``, a search as a feed, by the parameters of its
address. A feed has the newest results, and the records that are no longer among them.

The publisher itself stores no subscriptions: the command line passes it a ``SubscriptionStore``.
Whoever applies each feed to a list of results has the results of the search. Sources:
https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc6721 (deleted
entries) and https://www.jsonfeed.org/version/1.1/.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple, Protocol
from urllib.parse import urlencode

import orjson
import structlog
from fastapi import APIRouter, Depends, Path, Query
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, current_locale, use_language
from languages.translations import gettext as _
from publisher.data.properties import FACETS
from publisher.data.tables import FacetIndex, Filter, ListItem
from publisher.errors import PublisherError, QueryError
from publisher.feeds.atom import write_feed
from publisher.feeds.records import clean, instant
from publisher.history import change_reader
from publisher.history.change_reader import Change, History, open_history, read_watermark
from publisher.pages import (
    Pages,
    PagesDep,
    ServiceDep,
    TablesDep,
    require_searcher,
)
from publisher.portal.facet_filters import facet_parameters
from publisher.portal.facet_labels import FacetLabels, NamesDep
from publisher.portal.search import (
    FEED_FORMATS,
    MAX_PAGED,
    PRESENTATION,
    Results,
    SearchParameters,
    Words,
    feed_links,
    find_page,
    match_words,
    parse_search,
    with_parameters,
)
from publisher.portal.visitors import FieldsDep, first_fault, optional_store
from publisher.store.query_service import QueryService
from publisher.store.search.query import MAX_LENGTH, SearchRequest
from vocab.iris import KINDS, Iris
from web.endpoints import get, known_parameters, other_contents, problems
from web.middleware import client_key
from web.respond import HTML, NO_STORE, HTTPProblem, Link, origin, respond

FREQUENCIES = ("change", "day", "week")
COMPARED = 5_000  # results that are compared one by one; of a larger search, the newest
POLL_SECONDS = 20.0  # seconds between checks for a new journal entry and for what is due
_MAX_ADDRESS = 2_000  # characters of a search

log = structlog.get_logger(component="following")
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Followed:
    """What is followed: the parameters *search* of its address, parsed, and the path of its *page*;
    *thing* is the IRI of one thing, "" for none.
    """

    search: str
    page: str
    words: str
    filters: Filter
    thing: str = ""


class ChangedThing(NamedTuple):
    """A thing that is new, changed or gone, with the path of its page."""

    iri: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class ComparedResults:
    """The results at a journal entry: the time of the last change by IRI, and what is different
    from those of before. They are None if there were none to compare.
    """

    position: int
    results: Mapping[str, str] | None
    changes: Mapping[str, Sequence[ChangedThing]]


@dataclass(frozen=True, slots=True)
class DueSubscription:
    """A subscription to compare. *results* are those of the last comparison, None before the first;
    *key* is for its store.
    """

    key: object
    search: str
    language: str
    results: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class PublicSubscription:
    """What a person with its link sees of a subscription. *signing_secret* verifies its webhooks,
    "" for mail.
    """

    title: str
    search: str
    channel: str
    frequency: str
    is_confirmed: bool
    signing_secret: str = ""


class SubscriptionStore(Protocol):
    """Where subscriptions are stored. Its methods block, and raise StoreBusy if they are not
    available.
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that can be used, of ``mail`` and ``webhook``."""

    def is_address(self, channel: str, address: str) -> bool:
        """Return whether messages can be sent to an address."""

    def request(
        self, channel: str, address: str, search: str, title: str, language: str, frequency: str
    ) -> str:
        """Store a subscription, and send the link that confirms it; return the link in a demo, else
        "".
        """

    def find(self, secret: str) -> PublicSubscription | None:
        """Return the subscription whose links have a secret, None if there is none."""

    def confirm(self, secret: str) -> PublicSubscription | None:
        """Confirm a subscription and return it, None if there is none."""

    def end(self, secret: str) -> bool:
        """Delete a subscription and all that is stored about its receiver; return whether there was
        one.
        """

    def due(self, position: int) -> Sequence[DueSubscription]:
        """Claim subscriptions to compare, which were not compared at a journal entry."""

    def settle(self, key: Any, comparison: ComparedResults) -> None:
        """Store the results of a comparison and queue the message about its changes; without
        results, those of the last comparison stay.
        """


StoreDep = Annotated[
    SubscriptionStore,
    optional_store(
        "subscription_store",
        TranslatableText(
            "This server sends no messages; take the feeds, or follow where the data are harvested"
        ),
    ),
]
Secret = Annotated[str, Path(max_length=100, pattern="^[A-Za-z0-9_-]+$")]


@get(router, "/follow", include_in_schema=False)
def follow_form(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Return the page that offers the ways to follow a search or a thing; the parameters are those
    of `/search`, and `thing`.
    """
    followed = parse_followed(request.query_params, service.iris, tables)
    return _form(request, pages, followed, title_of(followed, tables, names), {})


@router.post("/follow", include_in_schema=False)
def request_subscription(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    names: NamesDep,
    store: StoreDep,
    fields: FieldsDep,
) -> Response:
    followed = parse_followed(QueryParams(fields.get("search", "")), service.iris, tables)
    title = title_of(followed, tables, names)
    channel, address, frequency = (
        fields.get(name, "") for name in ("channel", "address", "frequency")
    )
    error = first_fault(
        {
            "robot": not fields.get("website"),
            "channel": channel in store.channels,
            "frequency": frequency in FREQUENCIES,
            "address": store.is_address(channel, address),
        }
    )
    if error:
        return _form(request, pages, followed, title, fields, error)
    request.app.state.problem_quota.admit(client_key(request.scope))
    return _state(
        request,
        pages,
        "sent",
        title=title,
        link=store.request(
            channel, address, followed.search, title, current_locale().language, frequency
        ),
        channel=channel,
    )


@get(router, "/follow/confirm/{secret}", include_in_schema=False)
def confirmation(request: Request, pages: PagesDep, store: StoreDep, secret: Secret) -> Response:
    """Return what the link confirms; the button does it, so that a program that follows links does
    not.
    """
    result = store.find(secret)
    state = "confirmed" if result and result.is_confirmed else "confirm"
    return _state(request, pages, state, subscription=result, secret=secret)


@router.post("/follow/confirm/{secret}", include_in_schema=False)
def confirm(request: Request, pages: PagesDep, store: StoreDep, secret: Secret) -> Response:
    return _state(request, pages, "confirmed", subscription=store.confirm(secret), secret=secret)


@get(router, "/follow/stop/{secret}", include_in_schema=False)
def stop_form(request: Request, pages: PagesDep, store: StoreDep, secret: Secret) -> Response:
    return _state(request, pages, "stop", subscription=store.find(secret), secret=secret)


@router.post("/follow/stop/{secret}", include_in_schema=False)
def stop(request: Request, pages: PagesDep, store: StoreDep, secret: Secret) -> Response:
    """End a subscription and delete what is stored about its receiver: by the button, or by a mail
    program (RFC 8058).
    """
    return _state(request, pages, "stopped", subscription=store.end(secret))


def _form(
    request: Request,
    pages: Pages,
    followed: Followed,
    title: str,
    fields: dict[str, str],
    error: str = "",
) -> Response:
    store: SubscriptionStore | None = request.app.state.subscription_store
    return respond(
        request,
        pages.page(
            "follow.html",
            title=title,
            search=followed.search,
            results=followed.page,
            feeds=feed_links(followed.search),
            channels=store.channels if store else (),
            frequencies=FREQUENCIES,
            fields={"channel": "", "address": "", "frequency": "day"} | fields,
            error=error,
        ),
        HTML,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        headers=NO_STORE,
    )


def _state(request: Request, pages: Pages, state: str, **values: object) -> Response:
    """Return the page of a *state*; of a link whose subscription is not known, 404."""
    state = state if values.get("subscription", True) else "unknown"
    return respond(
        request,
        pages.page("follow_state.html", HTTPStatus.OK, state=state, **values),
        HTML,
        status=HTTPStatus.NOT_FOUND if state == "unknown" else HTTPStatus.OK,
        headers=NO_STORE,
    )


def parse_followed(params: QueryParams, iris: Iris, tables: FacetIndex) -> Followed:
    """Parse the parameters of a search, and ``thing``, the path of one thing such as
    ``initiative/demo/7``.

    An organization stands for what it takes part in. Raises QueryError and HTTPProblem.
    """
    sent = {
        (name, value.strip())
        for name, value in params.multi_items()
        if name in ("q", "thing", *FACETS) and value.strip()
    }
    search, words = urlencode(sorted(sent)), params.get("q", "").strip()
    path = params.get("thing", "").strip().lstrip("/")
    filters, kind = parse_search(params), path.partition("/")[0]
    if len(search) > _MAX_ADDRESS or len(words) > MAX_LENGTH:
        raise QueryError(f"A search that is followed has at most {_MAX_ADDRESS} characters")
    if not path:
        return Followed(search, f"/search?{search}" if search else "/search", words, filters)
    if words or kind not in KINDS or path.count("/") != 2:
        raise QueryError(
            "The parameter thing is the path of one thing, such as initiative/demo/7, without words"
        )
    thing = f"{iris.base}id/{path}"
    is_organization = kind == "organization"
    parts = {"party": thing} if is_organization else {"among": tables.numbers([thing])}
    return Followed(search, f"/page/{path}", "", replace(filters, **parts), thing)


def title_of(followed: Followed, tables: FacetIndex, labels: FacetLabels) -> str:
    """Return the title of what is followed in the language of the request: the name of the thing,
    or the words and labels.
    """
    key = followed.thing.rpartition("/")[2]
    if followed.filters.party:
        return tables.organization_names((followed.thing,)).get(followed.thing) or key
    if followed.thing:
        items = tables.list_things(followed.filters, "newest", 1)
        return (items[0].title if items else None) or key
    parts = [f"“{followed.words}”"] if followed.words else []
    parts += [
        labels.short(facet, code)
        for facet, codes in followed.filters.chosen
        for code in codes
        if facet != "basis"
    ]
    return " · ".join(parts) or _("All records")


def compare(
    before: Mapping[str, str] | None,
    items: Sequence[ListItem],
    position: int,
    iris: Iris,
    most: int = COMPARED,
) -> ComparedResults:
    """Compare results, item by item, with the times of those of *before* by IRI; None: there are no
    changes yet.

    If either are as many as are compared, *most*, older results may have taken the place of newer
    ones: then only what changed later than the oldest of *before* counts, and nothing is counted as
    removed.
    """
    now, known = {item.iri: item.changed or "" for item in items}, before or {}
    is_part = len(now) >= most or len(known) >= most
    since = min(known.values(), default="") if is_part else ""
    changes = defaultdict[str, list[ChangedThing]](list)
    gone = [(iri, None) for iri in known if iri not in now and not is_part]
    for iri, title in [*((item.iri, item.title) for item in items), *gone]:
        kind = "removed" if iri not in now else "changed" if iri in known else "new"
        if kind == "removed" or (known.get(iri) != now[iri] and now[iri] >= since):
            path = iri.removeprefix(f"{iris.base}id/")
            changes[kind].append(ChangedThing(iri, title or path, f"/page/{path}"))
    kinds = ("new", "changed", "removed")
    return ComparedResults(
        position, now, {} if before is None else {kind: changes[kind] for kind in kinds}
    )


def settle_due(service: QueryService, store: SubscriptionStore) -> int:
    """Compare the subscriptions that are due with the newest journal entry that all indexes show;
    return how many. It blocks.
    """
    snapshot = service.snapshot
    if snapshot is None or snapshot.applying or not snapshot.is_indexed:
        return 0
    due = store.due(snapshot.position)
    for item in due:
        try:
            tables = service.tables
            followed = parse_followed(QueryParams(item.search), service.iris, tables)
            parameters = SearchParameters(followed.words, followed.filters)
            with use_language(item.language):
                filters, _matches = match_words(service, tables, parameters)
            rows = tables.list_things(filters, "newest", COMPARED)
        except (PublisherError, HTTPProblem) as error:
            log.warning("search not compared", search=item.search, error=str(error))
            comparison = ComparedResults(snapshot.position, None, {})
        else:
            comparison = compare(item.results, rows, snapshot.position, service.iris)
        store.settle(item.key, comparison)
    return len(due)


async def settle_forever(service: QueryService, store: SubscriptionStore) -> None:
    """Compare what is due every POLL_SECONDS."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            await asyncio.to_thread(settle_due, service, store)
        except PublisherError as error:
            log.warning("searches not compared; retrying", error=str(error))


ENTRIES = 100  # the newest results, which a feed has
# The number of newest changes of all records among which removed results are searched.
WINDOW = 1_000
# The facets of which the change log has the earlier values of a record.
_KNOWN_FACETS = ("kind", "source", "goal", "country", "line")
_NEWEST = (1 << 31) - 1  # no number of a change is higher
_EXTENSION = "_stocktake"
# A feed takes the address of any search.
_OF_SEARCH: list[dict[str, object]] = [
    {
        "name": name,
        "in": "query",
        "description": "A parameter of /search; a feed ignores it",
        "schema": {"type": "string"},
    }
    for name in ("sort", "page", "per", "view")
]


@get(
    router,
    "/feeds/search.{suffix}",
    operation_id="feedOfSearch",
    dependencies=[Depends(known_parameters)],
    summary="Follow a search: its newest results, and what is no longer among them",
    tags=["watch"],
    response_class=Response,
    response_description="A feed",
    responses=other_contents(FEED_FORMATS.values()) | problems(400, 404, 503),
    openapi_extra={"parameters": [*facet_parameters(), *_OF_SEARCH]},
)
def search_feed(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    names: NamesDep,
    suffix: Annotated[
        str,
        Path(
            description="The format",
            json_schema_extra={"enum": list(FEED_FORMATS)},
            pattern="^(atom|json)$",
        ),
    ],
    q: Words = "",
    thing: Annotated[
        str,
        Query(
            max_length=2_000,
            description="The path of one thing to follow, such as `initiative/demo/7`",
        ),
    ] = "",
) -> Response:
    """The parameters are those of `/search`, or `thing`: an organization stands for what it takes
    part in.
    """
    updated, host = read_watermark(service).stamp, origin(request)
    followed, name = parse_followed(request.query_params, service.iris, tables), pages.branding.name
    parameters = SearchParameters(q, followed.filters, per=ENTRIES)
    with use_language("en", current_locale()):
        results = find_page(request, service, tables, parameters, names)["results"]
    query = with_parameters(request, *PRESENTATION)
    sent = request.query_params.multi_items()
    words = clean(q) or " ".join(text for key, text in sent if text and key not in PRESENTATION)
    address = f"?{query}" if query else ""
    removed = _removed(service, tables, followed)
    feed: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": f"{name}: {words}" if words else name,
        "home_page_url": f"{host}{followed.page if followed.thing else f'/search{address}'}",
        "feed_url": f"{host}/feeds/search.{suffix}{address}",
        "authors": [{"name": name}],
        "items": [_item(result, f"{host}{pages.path(result['thing'])}") for result in results],
        _EXTENSION: {
            "about": f"{host}/docs/reference/feeds.html#searches",
            "removed": [{"id": thing, "date": instant(stamp)} for thing, stamp in removed],
        },
    }
    return respond(
        request,
        orjson.dumps(feed) if suffix == "json" else _write_atom(feed, results, instant(updated)),
        FEED_FORMATS[suffix],
        links=[Link("self", feed["feed_url"])],
        headers={"Cache-Control": "public, max-age=60"},
    )


def _removed(
    service: QueryService, tables: FacetIndex, followed: Followed
) -> list[tuple[str, int]]:
    """Return what changed lately and is not among the results, the newest first."""
    filters, words = followed.filters, followed.words
    left = possibly_left(open_history(service), filters, service.iris)
    if filters.among is not None:  # one thing is followed
        left = {iri: stamp for iri, stamp in left.items() if iri == followed.thing}
    among = set(left)
    if words:
        filters = replace(filters, words=words)
        among &= set(require_searcher(service).matches(SearchRequest(words), MAX_PAGED).scores)
    filters = replace(filters, among=tables.numbers(among))
    listed = tables.list_things(filters, "newest", len(among)) if among else []
    there = {item.iri for item in listed}
    newest_first = sorted(left.items(), key=lambda pair: (-pair[1], pair[0]))
    return [pair for pair in newest_first if pair[0] not in there]


def possibly_left(history: History, filters: Filter, iris: Iris) -> dict[str, int]:
    """Return the things that changed lately and may have matched before: the stamp of the newest
    change by IRI.

    Of the facets that the change log has, a record had a value of the filter before. Words and other
    facets cannot be checked.
    """
    stamps: dict[str, int] = {}
    # Changes that are not announced yet are among them.
    changes = history.newest_changes(change_reader.ALL, _NEWEST, WINDOW)
    earlier = history.changes_before(changes)
    for change in changes:
        before = earlier.get(change.previous)
        if before is not None and _may_match(before, filters):
            thing = f"{iris.base}id/{before.thing}"
            stamps[thing] = max(change.stamp, stamps.get(thing, 0))
    return stamps


def _may_match(change: Change, filters: Filter) -> bool:
    chosen = [
        [f"{facet}:{code}" for code in codes]
        for facet in _KNOWN_FACETS
        if (codes := filters.codes(facet))
    ]
    return change.change_type is not change_reader.ChangeType.DELETED and all(
        any(
            item == name or item.startswith((f"{name}:", f"{name}-"))
            for name in names
            for item in change.sets
        )
        for names in chosen
    )


def _write_atom(feed: Mapping[str, Any], results: Iterable[Results], updated: str) -> bytes:
    [author], address = feed["authors"], feed["feed_url"]
    removed = [
        {"deleted": True, "id": item["id"], "updated": item["date"]}
        for item in feed[_EXTENSION]["removed"]
    ]
    entries = [
        {
            "id": result["thing"],
            "title": {"text": item["title"], "language": item.get("language")},
            "updated": result["modified"] or updated,
            "authors": [result["source"] or author["name"]],
            "links": [("alternate", "text/html", item["url"])],
            "summary": {"text": result["passage"], "language": result["language"]}
            if result["passage"]
            else None,
        }
        for item, result in zip(feed["items"], results, strict=True)
    ]
    return write_feed(
        [*removed, *entries],
        id=address,
        title=feed["title"],
        updated=updated,
        author=author["name"],
        url=address,
        page=feed["home_page_url"],
    )


def _item(result: Results, page: str) -> dict[str, str]:
    title, language = result["title"] or (result["thing"], None)
    item = {
        "id": result["thing"],
        "url": page,
        "title": title,
        "content_text": result["passage"] or title,
        "date_modified": result["modified"],
        "language": language,
    }
    return {name: value for name, value in item.items() if value}
