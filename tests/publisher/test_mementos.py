"""Mementos, by RFC 7089: what a record was at some time, from the journal, in every form."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from app_client import served
from publish_fixture import copy_data
from pyoxigraph import RdfFormat, parse

from journal.journal import Journal
from vocab.iris import Iris

IRIS = Iris()
RECORD, GRAPH = "record/demo/a%2F1", IRIS.record("demo", "a/1")
THING = IRIS.thing("initiative", "demo", "a/1")
HOST = "http://stocktake.test"
FIRST, SECOND, THIRD = "20260302080000", "20260401060000", "20260501060000"
_LINK = re.compile(r'<([^>]*)>((?:; [\w-]+="[^"]*")*)')


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(moved: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(moved) as opened:
        yield opened


def quad(text: str) -> str:
    return f'<{THING}> <http://purl.org/dc/terms/abstract> "{text}" <{GRAPH}> .'


@pytest.fixture(scope="module")
def moved(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder in which one record was changed twice, in April and in May."""
    data = copy_data(level, tmp_path_factory.mktemp("moved"), "store")
    journal = Journal(data / "journal")
    journal.append(
        [f"A {quad('one')}", f"A {quad('two')}"],
        run="run-4",
        time=datetime(2026, 4, 1, 6, tzinfo=UTC),
    )
    journal.append(
        [f"D {quad('two')}", f"A {quad('three')}"],
        run="run-5",
        time=datetime(2026, 5, 1, 6, tzinfo=UTC),
    )
    result: Path = data
    return result


def links(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for target, rest in _LINK.findall(text):
        yield target, dict(re.findall(r'; ([\w-]+)="([^"]*)"', rest))


def abstracts(answer: httpx.Response) -> set[str]:
    return {
        item.object.value
        for item in parse(answer.content, RdfFormat.N_TRIPLES)
        if item.predicate.value.endswith("/abstract")
    }


async def test_a_time_map_lists_every_state(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/timemap/{RECORD}")

    results = {target: item["rel"] for target, item in links(answer.text)}
    assert answer.headers["content-type"] == "application/link-format"
    assert results == {
        f"{HOST}/{RECORD}": "original",
        f"{HOST}/timegate/{RECORD}": "timegate",
        f"{HOST}/timemap/{RECORD}": "self",
        f"{HOST}/memento/{FIRST}/{RECORD}": "first memento",
        f"{HOST}/memento/{SECOND}/{RECORD}": "memento",
        f"{HOST}/memento/{THIRD}/{RECORD}": "last memento",
    }
    assert (
        'from="Mon, 02 Mar 2026 08:00:00 GMT"; until="Fri, 01 May 2026 06:00:00 GMT"' in answer.text
    )


async def test_a_time_gate_leads_to_the_state_that_held_then(client: httpx.AsyncClient) -> None:
    stamps = {
        None: THIRD, "Thu, 01 Jan 2026 00:00:00 GMT": FIRST, "Mon, 02 Mar 2026 08:00:00 GMT": FIRST,
        "Wed, 01 Apr 2026 05:59:59 GMT": FIRST, "Wed, 01 Apr 2026 06:00:00 GMT": SECOND, "Tue, 01 Jan 2030 00:00:00 GMT": THIRD,
    }  # fmt: skip

    results = {
        date: await client.get(
            f"/timegate/{RECORD}", headers={"Accept-Datetime": date} if date else {}
        )
        for date in stamps
    }

    assert {date: item.headers["location"] for date, item in results.items()} == {
        date: f"/memento/{stamp}/{RECORD}" for date, stamp in stamps.items()
    }
    assert {item.status_code for item in results.values()} == {302}
    assert all("accept-datetime" in item.headers["vary"] for item in results.values())
    assert {
        target
        for target, item in links(results[None].headers["link"])
        if item["rel"] in ("original", "timemap")
    } == {f"{HOST}/{RECORD}", f"{HOST}/timemap/{RECORD}"}


async def test_what_was_gone_is_gone_in_its_memento_and_what_was_never_known_has_no_past(
    client: httpx.AsyncClient,
) -> None:
    sent = await client.get("/timegate/record/demo/lost")

    answer = await client.get(sent.headers["location"] + ".ttl")

    assert (answer.status_code, "Lost project" in answer.text) == (410, True)

    results = [
        await client.get(f"/{opened_client}/record/demo/none")
        for opened_client in ("timegate", "timemap", f"memento/{FIRST}")
    ]

    assert [item.status_code for item in results] == [404, 404, 404]

    answer = await client.get(f"/timegate/{RECORD}", headers={"Accept-Datetime": "yesterday"})

    assert answer.status_code == 400


async def test_a_memento_is_what_the_record_was(client: httpx.AsyncClient) -> None:
    results = {
        stamp: await client.get(f"/memento/{stamp}/{RECORD}.nt") for stamp in (FIRST, SECOND, THIRD)
    }

    assert {stamp: abstracts(item) for stamp, item in results.items()} == {
        FIRST: set(),
        SECOND: {"one", "two"},
        THIRD: {"one", "three"},
    }
    assert results[SECOND].headers["memento-datetime"] == "Wed, 01 Apr 2026 06:00:00 GMT"
    # A memento never changes, so that it has no such header (RFC 7089, section 4.1.3).
    assert "last-modified" not in results[SECOND].headers


async def test_a_memento_links_to_its_neighbours_and_a_time_between_leads_to_the_earlier(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(f"/memento/{SECOND}/{RECORD}.ttl")

    results = {item["rel"]: target for target, item in links(answer.headers["link"])}

    assert results["original"] == f"{HOST}/{RECORD}"
    assert results["first prev memento"] == f"{HOST}/memento/{FIRST}/{RECORD}"
    assert results["last next memento"] == f"{HOST}/memento/{THIRD}/{RECORD}"
    assert results["memento"] == f"{HOST}/memento/{SECOND}/{RECORD}"

    between = await client.get(f"/memento/20260415000000/{RECORD}.ttl")
    before = await client.get(f"/memento/20200101000000/{RECORD}")

    assert (between.status_code, between.headers["location"]) == (
        302,
        f"/memento/{SECOND}/{RECORD}.ttl",
    )
    assert (before.status_code, FIRST in before.json()["detail"]) == (404, True)


async def test_a_memento_is_a_page_to_a_browser_and_the_first_and_last_lead_inward_alone(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get(f"/memento/{SECOND}/{RECORD}", headers={"Accept": "text/html"})

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Earlier version, valid from <bdi>Wed, 01 Apr 2026 06:00:00 GMT</bdi>" in page.text
    assert f'rel="prev" href="/memento/{FIRST}/{RECORD}"' in page.text

    first, last = [
        (await client.get(f"/memento/{stamp}/{RECORD}.html")).text for stamp in (FIRST, THIRD)
    ]

    assert ('rel="prev"' in first, 'rel="next"' in first) == (False, True)
    assert ('rel="prev"' in last, 'rel="next"' in last) == (True, False)


async def test_a_records_page_shows_what_changed(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/{RECORD}", headers={"Accept": "text/html"})).text

    assert "added: 1 · removed: 1" in re.sub("<[^>]+>", "", page)
    assert f'href="/memento/{SECOND}/{RECORD}"' in page
