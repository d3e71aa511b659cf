"""Atom with archives that never change, a calendar, activities, sitemaps and robots.txt."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser
import httpx
import pytest
from icalendar import Calendar
from lxml import etree
from mutating_source import IRIS
from rows import each

from publisher.feeds.xml_writing import element
from publisher.history.change_reader import SLICE
from publisher.http.pages.branding import NO_CONTACT, Branding

ATOM = "{http://www.w3.org/2005/Atom}"
HISTORY = "{http://purl.org/syndication/history/1.0}"
AT = "{http://purl.org/atompub/tombstones/1.0}"

Still = tuple[Path, httpx.Client]


def feed(still: Still, path: str) -> Any:
    answer = still[1].get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/atom+xml")
    return etree.fromstring(answer.content)


def link(item: Any, rel: str) -> str | None:
    return next(
        (result.get("href") for result in item.findall(f"{ATOM}link") if result.get("rel") == rel),
        None,
    )


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
    assert (entry.title, entry.author, entry.updated) == (
        "Renamed 7",
        "Ministry of ICT",
        "2026-04-28T23:30:00Z",
    )
    assert entry.published == "2026-03-28T23:30:00Z"
    assert {
        (result.type, result.href.partition("/data/")[2] or result.href.partition("/page/")[2])
        for result in entry.links
    } >= {
        ("text/html", "initiative/demo/i%2F7"),
        ("text/turtle", "initiative/demo/i%2F7.ttl"),
    }
    assert {"goal:8:crosswalked", "line:C2:declared", "country:404"} <= {
        tag.term for tag in entry.tags
    }
    assert not parse.bozo


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


@each(
    "path",
    ["/feeds/goal/99.atom", "/feeds/kind/event.atom", "/feeds/all.atom?archive=5", "/feeds/all.atom?archive=x", "/feeds/a/b/c.atom"],
)  # fmt: skip
def test_what_is_no_feed_is_not_found(still: Still, path: str) -> None:
    assert still[1].get(path).status_code == 404


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert (
        etree.fromstring(element("a", "bell\x07 & <\ud800>\uffff", b='"')).text
        == "bell\ufffd & <\ufffd>\ufffd"
    )


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
        ("e4", date(2025, 5, 1), date(2025, 5, 4)),  # to the third of May, whose end is the fourth
        ("e13", date(2025, 5, 1), date(2025, 6, 1)),  # May
        ("e6", date(2025, 1, 1), date(2026, 1, 1)),  # 2025
        ("e7", datetime(2025, 5, 1, 9, tzinfo=UTC), datetime(2025, 5, 1, 17, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_a_day_a_month_or_year_all_of_it_and_an_instant_in_utc(
    still: Still, name: str, begin: date, end: date
) -> None:
    item = events(still)[name]

    assert (item["dtstart"].dt, item["dtend"].dt) == (begin, end)


def test_an_event_has_its_text_place_and_page_and_one_called_off_says_so(still: Still) -> None:
    result = events(still)

    assert str(result["e4"]["summary"]) == "Forum 4; on, digital health"
    assert str(result["e4"]["location"]) == "Geneva, CICG"
    assert str(result["e4"]["url"]) == f"{still[1].base_url}/page/event/demo/e4"
    assert {name for name, item in result.items() if str(item["status"]) == "CANCELLED"} == {"e5"}


def test_the_page_of_an_event_leads_to_its_calendar(still: Still) -> None:
    page = still[1].get("/page/event/demo/e4", headers={"Accept": "text/html"}).text
    answer = still[1].get("/feeds/events/demo/e4.ics")
    revalidated = still[1].get(
        "/feeds/events/demo/e4.ics", headers={"If-None-Match": answer.headers["etag"]}
    )
    none = [
        still[1].get(f"/feeds/events/demo/{key}.ics").status_code for key in ("nothing", "a%2F1")
    ]

    item: Any
    (item,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert 'href="/feeds/events/demo/e4.ics"' in page
    assert (answer.headers["content-type"], item["dtstart"].dt) == (
        "text/calendar; charset=utf-8",
        date(2025, 5, 1),
    )
    assert item == events(still)["e4"]
    assert (revalidated.status_code, none) == (304, [404, 404])


def test_registration_of_an_event_is_on_its_page_in_its_calendar_and_in_json(still: Still) -> None:
    page = still[1].get("/page/event/demo/e4", headers={"Accept": "text/html"}).text
    (item,) = Calendar.from_ical(still[1].get("/feeds/events/demo/e4.ics").content).walk("VEVENT")
    about = still[1].get("/data/event/demo/e4.json").json()
    other = still[1].get("/page/event/demo/e8", headers={"Accept": "text/html"}).text

    assert 'href="https://register.example/4?a=1&amp;b=2">Register for the event</a>' in page
    assert "Register for the event" not in other
    assert str(item["attach"]) == about["registration"] == "https://register.example/4?a=1&b=2"


def test_picture_of_another_installation_is_a_link_and_not_loaded(still: Still) -> None:
    page = still[1].get("/page/event/demo/e4", headers={"Accept": "text/html"}).text

    assert 'href="https://other.example/picture/a.webp">Picture</a>' in page
    assert "A full hall" in page
    assert 'src="https://other.example' not in page


def test_the_activities_are_pages_that_lead_on_and_never_change_once_full(still: Still) -> None:
    whole = still[1].get("/activities").json()

    assert (whole["type"], whole["totalItems"]) == ("OrderedCollection", 466)
    assert (whole["first"], whole["last"]) == (
        f"{still[1].base_url}/activities/1",
        f"{still[1].base_url}/activities/5",
    )
    full, open_ = (still[1].get(f"/activities/{number}") for number in (4, 5))
    assert ["immutable" in item.headers["cache-control"] for item in (full, open_)] == [True, False]
    assert [len(item.json()["orderedItems"]) for item in (full, open_)] == [100, 66]
    assert ("next" in full.json(), "next" in open_.json(), open_.json()["startIndex"]) == (
        True,
        False,
        400,
    )


def test_an_activity_states_who_did_what_to_which_and_when(still: Still) -> None:
    items = {item["id"]: item for item in still[1].get("/activities/5").json()["orderedItems"]}

    gone = items[f"{IRIS.base}ldes/version/4/demo/e9"]
    assert (gone["type"], gone["object"]["type"], gone["object"]["formerType"]) == (
        "Delete",
        "Tombstone",
        "Event",
    )
    assert gone["actor"]["id"] == IRIS.source("demo")
    assert (gone["object"]["id"], gone["published"]) == (
        f"{IRIS.base}id/event/demo/e9",
        "2026-04-28T23:30:00Z",
    )


@each(
    "path", ["/activities/0", "/activities/7", "/activities/x", "/sitemap-2.xml", "/sitemap-x.xml"]
)
def test_a_page_that_is_none_is_not_found(still: Still, path: str) -> None:
    assert still[1].get(path).status_code == 404


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


def test_security_txt_states_whom_to_write_to_and_expires_within_a_year(still: Still) -> None:
    results = dict(
        line.split(": ", 1) for line in still[1].get("/.well-known/security.txt").text.splitlines()
    )

    assert results["Contact"] == "mailto:help@example.org"
    assert results["Canonical"] == f"{still[1].base_url}/.well-known/security.txt"
    assert (
        timedelta(days=90)
        < datetime.fromisoformat(results["Expires"]) - datetime.now(UTC)
        < timedelta(days=365)
    )


async def test_without_a_contact_there_is_no_security_txt(client: httpx.AsyncClient) -> None:
    answer = await client.get("/.well-known/security.txt")

    assert answer.status_code == 404
    assert Branding(contact=NO_CONTACT).contact_url is None


@pytest.mark.parametrize(
    ("page", "feed"),
    [
        ("/source/demo", "/feeds/source/demo.atom"),
        ("/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", "/feeds/country/404.atom"),
        ("/concept?iri=http://metadata.un.org/sdg/4", "/feeds/goal/4.atom"),
    ],
)
def test_a_page_leads_to_the_feed_of_its_things(still: Still, page: str, feed: str) -> None:
    answer = still[1].get(page, headers={"Accept": "text/html"})

    assert (
        f'<{still[1].base_url}{feed}>; rel="alternate"; type="application/atom+xml"'
        in answer.headers["link"]
    )
    assert still[1].get(feed).status_code == 200
    assert 'type="application/atom+xml"' in answer.text
