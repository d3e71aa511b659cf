"""Changes are served as Atom with archives that never change, as a calendar, as activities and in
sitemaps.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import feedparser
import httpx
import pytest
from app_client import asking
from icalendar import Calendar
from lxml import etree
from mutating_source import IRIS, begin, move
from publish_fixture import copy_data
from rows import each
from waiting import wait_until_async

from publisher.app import SiteOptions, create_app
from publisher.feeds.atom import FILE_NAME, WebSubNotifier, write_feed
from publisher.history.change_reader import SLICE, read_watermark
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from web.branding import NO_CONTACT, Branding
from web.outbound_client import GuardedTransport, PrivateAddressError, create_client

ATOM = "{http://www.w3.org/2005/Atom}"
HISTORY = "{http://purl.org/syndication/history/1.0}"
AT = "{http://purl.org/atompub/tombstones/1.0}"

Still = tuple[Path, httpx.Client]


def feed(still: Still, path: str) -> Any:
    answer = still[1].get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/atom+xml")
    return etree.fromstring(answer.content)


def link(item: Any, rel: str) -> str | None:
    links = item.findall(f"{ATOM}link")
    return next((link.get("href") for link in links if link.get("rel") == rel), None)


def page(still: Still, path: str) -> str:
    return still[1].get(path, headers={"Accept": "text/html"}).text


def test_the_feed_has_the_newest_first_and_each_record_once(still: Still) -> None:
    item = feed(still, "/feeds/all.atom")

    names = [
        entry.findtext(f"{ATOM}id") or entry.get("ref")
        for entry in item
        if entry.tag in (f"{ATOM}entry", f"{AT}deleted-entry")
    ]
    assert len(names) == len(set(names)) == 100
    assert names[0] == f"{IRIS.base}record/demo/e91"
    assert len(item.findall(f"{AT}deleted-entry")) == 16


def test_an_entry_has_all_that_atom_wants_and_leads_to_page_and_data(still: Still) -> None:
    parse = feedparser.parse(still[1].get("/feeds/all.atom").content)

    entry = next(entry for entry in parse.entries if entry.id == f"{IRIS.base}record/demo/i%2F7")
    links = {(result.type, result.href.partition("/initiative/")[2]) for result in entry.links}
    assert (entry.title, entry.author) == ("Renamed 7", "Ministry of ICT")
    assert (entry.published, entry.updated) == ("2026-03-28T23:30:00Z", "2026-04-28T23:30:00Z")
    assert links >= {("text/html", "demo/i%2F7"), ("text/turtle", "demo/i%2F7.ttl")}
    tags = {tag.term for tag in entry.tags}
    assert {"goal:8:crosswalked", "line:C2:declared", "country:404"} <= tags
    assert not parse.bozo
    odd = 'bell\x07 & "<\ud800>\uffff'  # XML cannot hold these characters.
    text = write_feed([], title=odd, id="", updated="", author="", url="", page="")
    feed_of_nothing = etree.fromstring(text)
    assert feed_of_nothing.findtext("{*}title") == 'bell\ufffd & "<\ufffd>\ufffd'


def test_the_archives_lead_back_to_the_first_change_and_never_change(still: Still) -> None:
    fromstring, sizes = feed(still, "/feeds/all.atom"), []

    while address := link(fromstring, "prev-archive"):
        answer = still[1].get(address)
        fromstring = etree.fromstring(answer.content)
        sizes.append(
            len(fromstring.findall(f"{ATOM}entry")) + len(fromstring.findall(f"{AT}deleted-entry"))
        )
        assert "immutable" in answer.headers["cache-control"]
        assert fromstring.find(f"{HISTORY}archive") is not None
        assert link(fromstring, "current") == str(still[1].base_url.join("/feeds/all.atom"))

    assert sizes == [100] * 4


@each(
    "path",
    ["/feeds/line/C7-ehea", "/feeds/goal/4", "/feeds/goal/4/declared", "/feeds/country/404", "/feeds/source/alpha"],
)  # fmt: skip
def test_a_feed_by_line_goal_country_or_registry_has_just_that(still: Still, path: str) -> None:
    item = feed(still, f"{path}.atom")

    _, _, *parts = path.split("/")
    wanted = ":".join(parts)
    entries = item.findall(f"{ATOM}entry")
    sources = [f"source:{entry.findtext(f'{ATOM}id').split('/')[-2]}" for entry in entries]
    tags = [[tag.get("term") for tag in entry.findall(f"{ATOM}category")] for entry in entries]
    terms = [{source, *those} for source, those in zip(sources, tags, strict=True)]
    assert entries
    assert all(
        any(term == wanted or term.startswith(f"{wanted}:") for term in those) for those in terms
    )
    assert item.findtext(f"{ATOM}id") == f"{IRIS.base}{path[1:]}"


def events(still: Still) -> dict[str, Any]:
    answer = still[1].get("/feeds/events.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    return {
        str(node["uid"]).rpartition("/")[2]: node
        for node in Calendar.from_ical(answer.content).walk("VEVENT")
    }


@each(
    "name, begin, end",
    [
        # An end is the first day that is not of the event: e4 lasts to the third of May, e13 all of
        # May, and e6 all of 2025.
        ("e4", date(2025, 5, 1), date(2025, 5, 4)),
        ("e13", date(2025, 5, 1), date(2025, 6, 1)),
        ("e6", date(2025, 1, 1), date(2026, 1, 1)),
        ("e7", datetime(2025, 5, 1, 9, tzinfo=UTC), datetime(2025, 5, 1, 17, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_a_day_a_month_or_year_all_of_it_and_an_instant_in_utc(
    still: Still, name: str, begin: date, end: date
) -> None:
    item = events(still)[name]

    assert (item["dtstart"].dt, item["dtend"].dt) == (begin, end)


def test_the_page_of_an_event_leads_to_its_calendar(still: Still) -> None:
    path, listed = "/feeds/events/demo/e4.ics", events(still)
    text = page(still, "/page/event/demo/e4")
    answer = still[1].get(path)
    again = still[1].get(path, headers={"If-None-Match": answer.headers["etag"]})
    none = [
        still[1].get(f"/feeds/events/demo/{key}.ics").status_code for key in ("nothing", "a%2F1")
    ]

    item: Any
    (item,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert f'href="{path}"' in text
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert item["dtstart"].dt == date(2025, 5, 1)
    assert item == listed["e4"]
    assert (again.status_code, none) == (304, [404, 404])
    assert str(item["summary"]) == "Forum 4; on, digital health"
    assert str(item["location"]) == "Geneva, CICG"
    assert str(item["url"]) == f"{still[1].base_url}/page/event/demo/e4"
    assert {name for name, one in listed.items() if str(one["status"]) == "CANCELLED"} == {"e5"}
    # A picture of another installation is a link, and is not loaded.
    assert 'href="https://other.example/picture/a.webp">Picture</a>' in text
    assert "A full hall" in text
    assert 'src="https://other.example' not in text


def test_registration_of_an_event_is_on_its_page_in_its_calendar_and_in_json(still: Still) -> None:
    about = still[1].get("/data/event/demo/e4.json").json()

    link = 'href="https://register.example/4?a=1&amp;b=2">Register for the event</a>'
    assert link in page(still, "/page/event/demo/e4")
    assert "Register for the event" not in page(still, "/page/event/demo/e8")
    attached = str(events(still)["e4"]["attach"])
    assert attached == about["registration"] == "https://register.example/4?a=1&b=2"


def test_the_activities_are_pages_that_lead_on_and_never_change_once_full(still: Still) -> None:
    whole, url = still[1].get("/activities").json(), f"{still[1].base_url}/activities"

    assert (whole["type"], whole["totalItems"]) == ("OrderedCollection", 466)
    assert (whole["first"], whole["last"]) == (f"{url}/1", f"{url}/5")
    for number, size in ((4, 100), (5, 66)):
        answer = still[1].get(f"/activities/{number}")
        assert ("immutable" in answer.headers["cache-control"]) == (number == 4)
        assert ("next" in answer.json()) == (number == 4)
        assert len(answer.json()["orderedItems"]) == size
    newest = still[1].get("/activities/5").json()
    [gone] = [
        item for item in newest["orderedItems"] if item["id"].endswith("ldes/version/4/demo/e9")
    ]
    about = gone["object"]
    assert newest["startIndex"] == 400
    assert (gone["type"], about["type"], about["formerType"]) == ("Delete", "Tombstone", "Event")
    assert gone["actor"]["id"] == IRIS.source("demo")
    assert about["id"] == f"{IRIS.base}id/event/demo/e9"
    assert gone["published"] == "2026-04-28T23:30:00Z"


@each(
    "path",
    ["/activities/0", "/activities/7", "/activities/x", "/sitemap-2.xml", "/sitemap-x.xml", "/feeds/goal/99.atom",
     "/feeds/kind/event.atom", "/feeds/all.atom?archive=5", "/feeds/a/b/c.atom", "/ldes/time/2026-02",
     "/ldes/time/nonsense", "/ldes/time/2026-03-28/3", "/ldes/time/2026-03-28/0", "/ldes/time/2026-03-27/1",
     "/ldes/version/3/demo/i%2F7", "/ldes/version/x/demo/i", "/ldes/latest/x"],
)  # fmt: skip
def test_a_page_that_is_none_is_not_found(still: Still, path: str) -> None:
    assert still[1].get(path).status_code == 404


def test_an_archive_is_named_by_its_number(still: Still) -> None:
    answer = still[1].get("/feeds/all.atom?archive=x")

    assert (answer.status_code, "archive" in answer.text) == (400, True)


def test_the_sitemap_has_each_page_that_there_is_and_when_it_changed(still: Still) -> None:
    index = etree.fromstring(still[1].get("/sitemap.xml").content)
    (part,) = (str(item.text) for item in index.iter("{*}loc"))

    urls = {
        item.findtext("{*}loc"): item.findtext("{*}lastmod")
        for item in etree.fromstring(still[1].get(part).content)
    }

    assert len(urls) == 407 - 16
    assert urls[f"{still[1].base_url}/page/initiative/demo/i%2F7"] == "2026-04-28T23:30:00Z"
    assert urls[f"{still[1].base_url}/page/document/demo/d.7"] == "2026-03-28T23:30:00Z"
    assert f"{still[1].base_url}/page/initiative/demo/i%2F100" not in urls
    assert still[1].get("/page/document/demo/d.7").status_code == 200
    assert SLICE <= 50_000


async def test_security_txt_states_whom_to_write_to_and_expires_within_a_year(
    still: Still, client: httpx.AsyncClient
) -> None:
    lines = still[1].get("/.well-known/security.txt").text.splitlines()
    results = dict(line.split(": ", 1) for line in lines)
    without = await client.get("/.well-known/security.txt")

    left = datetime.fromisoformat(results["Expires"]) - datetime.now(UTC)
    assert results["Contact"] == "mailto:help@example.org"
    assert results["Canonical"] == f"{still[1].base_url}/.well-known/security.txt"
    assert timedelta(days=90) < left < timedelta(days=365)
    assert without.status_code == 404
    assert Branding(contact=NO_CONTACT).contact_url is None


@pytest.mark.parametrize(
    ("path", "feed"),
    [
        ("/source/demo", "/feeds/source/demo.atom"),
        ("/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", "/feeds/country/404.atom"),
        ("/concept?iri=http://metadata.un.org/sdg/4", "/feeds/goal/4.atom"),
    ],
)
def test_a_page_leads_to_the_feed_of_its_things(still: Still, path: str, feed: str) -> None:
    answer = still[1].get(path, headers={"Accept": "text/html"})

    alternate = f'<{still[1].base_url}{feed}>; rel="alternate"; type="application/atom+xml"'
    assert alternate in answer.headers["link"]
    assert still[1].get(feed).status_code == 200
    assert 'type="application/atom+xml"' in answer.text


HUB = "https://hub.example/publish"


class Hub:
    """A hub that records the pings it accepts, and answers with *status*."""

    def __init__(self) -> None:
        self.status = 204
        self.pings: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = parse_qsl(request.content.decode())
        assert (str(request.url), form[0]) == (HUB, ("hub.mode", "publish"))
        if self.status < 400:
            self.pings.append([value for name, value in form if name == "hub.url"])
        return httpx.Response(self.status)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[QueryService]:
    begin(tmp_path)
    async with QueryService(tmp_path, IRIS, Limits(seconds=240, wait=240), readers=1) as service:
        await service.wait_until_current()
        yield service


async def until(service: QueryService, entry: int) -> None:
    """Wait until harvesters may see *entry*."""

    async def reached() -> bool:
        await service.refresh()
        return read_watermark(service).entry >= entry

    await wait_until_async(reached, f"entry {entry}", pause=0.01)


@pytest.mark.smoke
async def test_the_hub_is_pinged_once_per_change_and_again_after_an_outage(
    opened: QueryService,
) -> None:
    hub = Hub()
    transport = httpx.MockTransport(hub)
    announcer = WebSubNotifier(HUB, opened, transport=transport)

    first = announcer.step()  # What is there already is no news.
    move(opened.data)
    await until(opened, 4)
    hub.status = 503
    with pytest.raises(httpx.HTTPStatusError):
        announcer.step()
    hub.status = 202
    # A new notifier stands for a restart.
    later = WebSubNotifier(HUB, opened, transport=transport).step()
    again = announcer.step()

    feeds = {item for result in hub.pings for item in result}
    assert (first, again) == (0, 0)
    assert later == len(feeds) == sum(map(len, hub.pings))
    assert {
        f"{IRIS.base}feeds/{name}.atom"
        for name in ("all", "source/demo", "country/404", "goal/4", "goal/4/declared")
    } <= feeds
    assert f"{IRIS.base}feeds/source/alpha.atom" not in feeds
    assert json.loads((opened.data / FILE_NAME).read_text()) == {"entry": 4}


async def test_a_feed_names_the_hub_and_the_address_by_which_the_hub_knows_it(
    small: Path, tmp_path: Path
) -> None:
    copy_data(small, tmp_path, "store")
    async with QueryService(tmp_path, IRIS, readers=1) as service:
        await service.wait_until_current()
        app = create_app(service, site=SiteOptions(hub=HUB))
        async with asking(app) as client:
            answer = await client.get("/feeds/goal/4.atom")

    assert f'<{HUB}>; rel="hub"' in answer.headers["link"]
    assert f'<{IRIS.base}feeds/goal/4.atom>; rel="self"' in answer.headers["link"]
    assert f'<link rel="hub" href="{HUB}"/>' in answer.text


@each(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1", "224.0.0.1"],
)  # fmt: skip
def test_a_hub_at_a_private_address_is_not_asked(address: str) -> None:
    # One good address does not excuse the other.
    transport = GuardedTransport(resolve=lambda host, port: ["93.184.216.34", address])

    with (
        create_client(transport) as client,
        pytest.raises(httpx.ConnectError, match="STOCKTAKE_ALLOW_HOSTS"),
    ):
        client.post("http://hub.example:9/")
    named = GuardedTransport(frozenset({"localhost"}))  # A host that operators name is asked.
    with create_client(named) as client, pytest.raises(httpx.ConnectError) as caught:
        client.post("http://localhost:9/")  # Nobody listens there, which shows that it was tried.
    assert not isinstance(caught.value.__cause__, PrivateAddressError)
