"""The pages below `/follow`: what they offer, what is sent, what is refused, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from app_client import asking
from event_loops import session_loop
from rows import each

from publisher.app import SiteOptions, create_app
from publisher.data.tables import ListItem
from publisher.portal.follow import ComparedResults, DueSubscription, PublicSubscription, compare
from publisher.store.query_service import QueryService
from vocab.iris import Iris

IRIS = Iris()
FORM = {
    "search": "goal=3&q=clinics",
    "channel": "mail",
    "frequency": "week",
    "address": "reader@example.org",
}


@dataclass
class KeptSubscriptions:
    """Subscriptions in memory; the command line has them in the ledger. The secret is `key`."""

    requested: list[tuple[str, ...]] = field(default_factory=list)
    confirmed: bool = False
    channels: tuple[str, ...] = ("mail", "webhook")

    def is_address(self, channel: str, address: str) -> bool:
        return ("@" if channel == "mail" else "https://") in address

    def request(self, *values: str) -> str:
        self.requested.append(values)
        return ""

    def find(self, secret: str) -> PublicSubscription | None:
        if secret != "key" or not self.requested:
            return None
        channel, _, search, title, _, frequency = self.requested[-1]
        return PublicSubscription(
            title,
            search,
            channel,
            frequency,
            self.confirmed,
            "signs" if channel == "webhook" else "",
        )

    def confirm(self, secret: str) -> PublicSubscription | None:
        self.confirmed = self.find(secret) is not None
        return self.find(secret)

    def end(self, secret: str) -> bool:
        was, self.requested = self.find(secret) is not None, []
        return was

    def due(self, position: int) -> Sequence[DueSubscription]:
        return ()

    def settle(self, key: Any, comparison: ComparedResults) -> None: ...


def visitor(service: Any, store: KeptSubscriptions | None) -> httpx.AsyncClient:
    app = create_app(service, site=SiteOptions(subscription_store=store))
    client: httpx.AsyncClient = asking(app, headers={"Accept": "text/html"})
    return client


@session_loop
@each(
    "page, link",
    [("/search?q=clinics&goal=3", "/follow?q=clinics&amp;goal=3"),
     ("/page/initiative/demo/a%2F1", "/follow?thing=initiative%2Fdemo%2Fa%252F1"),
     ("/page/organization/demo/ministry-of-health", "/follow?thing=organization%2Fdemo%2Fministry-of-health"),
     ("/source/demo", "/follow?source=demo"), ("/concept?iri=http://metadata.un.org/sdg/3", "/follow?goal=3"),
     ("/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", "/follow?country=404"), ("/scheme/action-line/C4", "/follow?line=C4")],
)  # fmt: skip
async def test_pages_lead_to_what_can_be_followed(
    service: QueryService, page: str, link: str
) -> None:
    async with visitor(service, KeptSubscriptions()) as client:
        response = await client.get(page)
        form = await client.get(link.replace("&amp;", "&"))

    assert f'href="{link}"' in response.text
    assert form.status_code == 200
    assert (
        f"/feeds/search.atom?{'goal=3&amp;q=clinics' if 'clinics' in link else link.partition('?')[2]}"
        in form.text
    )
    assert 'name="address"' in form.text


@session_loop
async def test_a_search_is_followed_after_the_link_is_confirmed_and_no_more_after_the_other_link(
    service: QueryService,
) -> None:
    kept_subscriptions = KeptSubscriptions()
    async with visitor(service, kept_subscriptions) as client:
        sent = await client.post("/follow", data=FORM, headers={"Accept-Language": "fr"})
        confirmation = await client.get("/follow/confirm/key")
        before = kept_subscriptions.confirmed
        confirmed = await client.post("/follow/confirm/key")
        stop = await client.get("/follow/stop/key")
        unsubscribe = "List-Unsubscribe=One-Click"  # Mail programs send this.
        stopped = await client.post("/follow/stop/key", content=unsubscribe)
        again = await client.get("/follow/stop/key")
        left, followed = list(kept_subscriptions.requested), kept_subscriptions.confirmed
        kept_subscriptions.confirmed = False
        hook = FORM | {"channel": "webhook", "address": "https://hook.example/"}
        await client.post("/follow", data=hook)
        secrets = await client.get("/follow/confirm/key"), await client.post("/follow/confirm/key")
        hostile = await client.get("/follow", params={"q": "<script>alert(1)</script>"})

    assert (sent.status_code, before, followed) == (200, False, True)
    assert "Un courriel avec un lien" in sent.text
    assert 'action="/follow/confirm/key"' in confirmation.text
    assert "You follow this." in confirmed.text
    assert 'action="/follow/stop/key"' in stop.text
    assert (stopped.status_code, again.status_code, left) == (200, 404, [])
    assert "signs" not in secrets[0].text.partition("<main")[2]
    assert '<code dir="ltr">signs</code>' in secrets[1].text
    assert "<script>alert" not in hostile.text


@session_loop
async def test_the_title_is_in_the_language_of_the_page_and_the_search_in_one_form(
    service: QueryService,
) -> None:
    kept_subscriptions = KeptSubscriptions()
    async with visitor(service, kept_subscriptions) as client:
        form = FORM | {"search": "q=clinics&page=3&goal=3"}
        await client.post("/follow", data=form, headers={"Accept-Language": "es"})

    [(channel, address, search, title, language, frequency)] = kept_subscriptions.requested
    assert (channel, address, search, language, frequency) == (
        "mail", "reader@example.org", "goal=3&q=clinics", "es", "week",
    )  # fmt: skip
    assert title.startswith("“clinics” · 3. ")


@session_loop
@each(
    "change, status",
    [({"address": "nobody"}, 422), ({"channel": "fax"}, 422), ({"frequency": "hour"}, 422), ({"website": "https://spam.example"}, 422),
     ({"search": "kind=nonsense"}, 400), ({"search": "thing=initiative/demo/a&q=x"}, 400), ({"search": "thing=nothing/demo/a"}, 400)],
)  # fmt: skip
async def test_what_is_not_valid_is_refused_and_not_stored(
    service: QueryService, change: dict[str, str], status: int
) -> None:
    kept_subscriptions = KeptSubscriptions()
    async with visitor(service, kept_subscriptions) as client:
        answer = await client.post("/follow", data=FORM | change)

    assert (answer.status_code, kept_subscriptions.requested) == (status, [])


@session_loop
async def test_forms_of_other_sites_and_too_many_are_refused_and_all_by_a_mirror(
    service: QueryService,
) -> None:
    kept_subscriptions = KeptSubscriptions()
    async with visitor(service, kept_subscriptions) as client:
        foreign = [
            (await client.post("/follow", data=FORM, headers=headers)).status_code
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})
        ]
        statuses = [(await client.post("/follow", data=FORM)).status_code for _ in range(6)]

    assert foreign == [403, 403]
    assert statuses == [200] * 5 + [429]
    async with visitor(service, None) as client:
        form, sent = await client.get("/follow?goal=3"), await client.post("/follow", data=FORM)

    assert "/feeds/search.atom?goal=3" in form.text
    assert 'name="address"' not in form.text
    assert sent.status_code == 404


def item(key: str, changed: str) -> ListItem:
    iri, empty = f"{IRIS.base}id/initiative/demo/{key}", (None, None, None)
    return ListItem(iri, "initiative", "demo", key, "en", *empty, changed, None, False)


def test_of_a_large_search_only_what_changed_later_counts() -> None:
    before = {item("a", "").iri: "2026-01-02", item("b", "").iri: "2026-01-03"}

    later = compare(before, [item("c", "2026-01-04"), item("b", "2026-01-03")], 2, IRIS, most=2)
    older = compare(before, [item("b", "2026-01-03"), item("z", "2026-01-01")], 2, IRIS, most=2)

    assert [row.title for row in later.changes["new"]] == ["c"]
    assert later.changes["removed"] == []
    counts = {kind: len(rows) for kind, rows in older.changes.items()}
    assert counts == {"new": 0, "changed": 0, "removed": 0}
