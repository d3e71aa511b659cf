"""Follow a search, or one thing: what has changed in its results since they were last compared.

The publisher stores nothing of those who follow: ``SubscriptionStore`` is what the command line
joins it with, as it does problems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlencode

import structlog
from starlette.datastructures import QueryParams

from languages.request_locale import use_language
from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.background import in_background
from publisher.errors import NotReady, PublisherError, QueryError
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex, ListItem, open_facet_index
from publisher.projections.search.query import MAX_LENGTH, SearchRequest
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import QueryService
from vocab.iris import KINDS, Iris

FREQUENCIES = ("change", "day", "week")
COMPARED = 5_000  # results that are compared one by one; of a larger search, the newest
MATCHES = 10_000  # of a text search, as its pages have
POLL_SECONDS = 20.0  # between looks for a new journal entry and for what is due
_MAX_ADDRESS = 2_000  # characters of a search

log = structlog.get_logger(component="following")


@dataclass(frozen=True, slots=True)
class Followed:
    """A search that is followed: the parameters *search* of its address, parsed; *thing* is the IRI
    of one thing, "" for none.
    """

    search: str
    words: str
    filters: Filter
    thing: str = ""


@dataclass(frozen=True, slots=True)
class ChangedThing:
    """A thing that is new, changed or gone: IRI, title, path of its page."""

    iri: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class ComparedResults:
    """The results at a journal entry: the time of the last change by IRI, and what is different
    from those of before.
    """

    position: int
    results: Mapping[str, str]
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
    """Where subscriptions are kept. Its methods block, and raise StoreBusy if they are not
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

    def settle(self, key: object, comparison: ComparedResults) -> None:
        """Store the results of a comparison and queue the message about its changes."""

    def skip(self, key: object, position: int) -> None:
        """Keep the results of before, since there are none at this journal entry."""


def parse_followed(params: QueryParams, iris: Iris) -> Followed:
    """Parse the parameters of a search, and ``thing``, the path of one thing such as
    ``initiative/demo/7``.

    An organization stands for what it takes part in. Raises QueryError.
    """
    known = [
        (name, value.strip())
        for name, value in params.multi_items()
        if name in ("q", "thing", *FACETS) and value.strip()
    ]
    search = urlencode(sorted(set(known)))
    words = params.get("q", "").strip()
    path = params.get("thing", "").strip().lstrip("/")
    filters, kind = parse_filters(params), path.partition("/")[0]
    if len(search) > _MAX_ADDRESS or len(words) > MAX_LENGTH:
        raise QueryError(f"A search that is followed has at most {_MAX_ADDRESS} characters")
    if wrong := [name for name in filters.codes("kind") if name not in KINDS]:
        raise QueryError(f"The parameter kind is one of {', '.join(KINDS)}, not {wrong[0][:40]}")
    if not path:
        return Followed(search, words, filters)
    if words or kind not in KINDS or path.count("/") != 2:
        raise QueryError(
            "The parameter thing is the path of one thing, such as initiative/demo/7, without words"
        )
    thing = f"{iris.base}id/{path}"
    narrowed = (
        replace(filters, party=thing)
        if kind == "organization"
        else replace(filters, among=(thing,))
    )
    return Followed(search, "", narrowed, thing)


def title_of(followed: Followed, tables: FacetIndex, labels: FacetLabels) -> str:
    """Return the title of what is followed in the language of the request: the name of the thing,
    or the words and labels.
    """
    if followed.filters.party:
        return (
            tables.organization_names((followed.thing,)).get(followed.thing)
            or followed.thing.rpartition("/")[2]
        )
    if followed.thing:
        items = tables.list_things(followed.filters, "newest", 1)
        return (items[0].title if items else None) or followed.thing.rpartition("/")[2]
    parts = [f"“{followed.words}”"] if followed.words else []
    parts += [
        labels.short(facet, code)
        for facet, codes in followed.filters.chosen
        for code in codes
        if facet != "basis"
    ]
    return " · ".join(parts) or _("All records")


def list_results(service: QueryService, followed: Followed) -> list[ListItem]:
    """Return the results, newest first, at most COMPARED. It blocks; raises NotReady while an index
    is being made.
    """
    tables, index = open_facet_index(service.current.path), open_searcher(service.current.path)
    if tables is None or index is None:
        raise NotReady(
            TranslatableText("the charts and lists are being prepared; try again in a minute")
        )
    filters = followed.filters
    if followed.words:
        result = index.matches(SearchRequest(followed.words), MATCHES)
        filters = replace(filters, words=followed.words, among=tuple(result.scores))
    return tables.list_things(filters, "newest", COMPARED)


def compare(
    before: Mapping[str, str], items: Sequence[ListItem], position: int, iris: Iris
) -> ComparedResults:
    """Compare results, item by item, with the times of those of *before* by IRI.

    If either are as many as are compared, older results may have taken the place of newer ones:
    then only what changed later than the oldest of *before* counts, and nothing is counted as
    removed.
    """
    now = {item.iri: item.changed or "" for item in items}
    is_part = len(now) >= COMPARED or len(before) >= COMPARED
    since = min(before.values(), default="") if is_part else ""
    results = [
        item for item in items if before.get(item.iri) != now[item.iri] and now[item.iri] >= since
    ]
    changes = {
        "new": [_changed(item.iri, item.title, iris) for item in results if item.iri not in before],
        "changed": [_changed(item.iri, item.title, iris) for item in results if item.iri in before],
        "removed": []
        if is_part
        else [_changed(iri, None, iris) for iri in before if iri not in now],
    }
    return ComparedResults(position, now, changes)


def _changed(iri: str, title: str | None, iris: Iris) -> ChangedThing:
    path = iri.removeprefix(f"{iris.base}id/")
    return ChangedThing(iri, title or path, f"/page/{path}")


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
            followed = parse_followed(QueryParams(item.search), service.iris)
            with use_language(item.language):
                rows = list_results(service, followed)
        except PublisherError as error:
            log.warning("search not compared", search=item.search, error=str(error))
            store.skip(item.key, snapshot.position)
            continue
        if item.results is None:
            store.settle(
                item.key, replace(compare({}, rows, snapshot.position, service.iris), changes={})
            )
        else:
            store.settle(item.key, compare(item.results, rows, snapshot.position, service.iris))
    return len(due)


def sending_changes(
    service: QueryService, store: SubscriptionStore | None
) -> AbstractAsyncContextManager[None]:
    """Compare what is due every POLL_SECONDS within the context, if there is a store."""
    return in_background(_settle_forever(service, store) if store else None)


async def _settle_forever(service: QueryService, store: SubscriptionStore) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            await asyncio.to_thread(settle_due, service, store)
        except PublisherError as error:
            log.warning("searches not compared; retrying", error=str(error))
