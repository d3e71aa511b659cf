"""A deleted record answers 410 in every format with its tombstone, and each dump lists it."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from app_client import served
from event_loops import session_loop

from journal.journal import Journal
from publisher.releases.dump import COLUMNS, write_dumps
from vocab.annotations import Deletion, mark_vanished, write_tombstone
from vocab.describe import describe, quads
from vocab.initiative import Initiative, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record
from vocab.terms import XSD
from web.respond import GRAPHS

IRIS = Iris()
SEEN, MISSED, GONE = (datetime(2026, 3, day, 8, tzinfo=UTC) for day in (1, 5, 9))
HOSTILE = 'Lost, "bold" <b>\nand more'
HTML = {"Accept": "text/html"}
PLACES = ("/page/initiative/demo/old", "/record/demo/old")


def record(key: str, *titles: Text) -> list[str]:
    about = Provenance("demo", "demo.1", "fields", "ab" * 16, SEEN, SEEN)
    resource = Initiative(key=key, titles=titles)
    return sorted([*describe(resource, IRIS, "demo"), *describe_record(key, IRIS, about)])


def added(content: Iterable[str], key: str, source: str = "demo") -> list[str]:
    return [f"A {quad}" for quad in quads(content, IRIS.record(source, key))]


def buried(
    key: str, content: list[str], run: str, reason: str, heir: str | None = None
) -> list[str]:
    """Return the rows of a deleted record; *heir* is the IRI of the record that replaces it."""
    deletion = Deletion(run, GONE, reason, heir)
    return added(write_tombstone(key, "demo", deletion, SEEN, content, IRIS), key)


def missed(key: str, content: list[str], at: datetime) -> list[str]:
    return mark_vanished("\n".join(content), key, "demo", at, IRIS).split("\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with records that were replaced, moved, deleted, or have vanished."""
    data = tmp_path_factory.mktemp("departures")
    old = record("old", Text("Ancien", "fr"), Text("Old project", "en"))
    elsewhere = [line.replace("/demo/", "/atlas/") for line in record("a/1", Text("There", "en"))]
    new_key = "its content came under a new key"
    results = [
        *buried("old", missed("old", old, MISSED), "demo.2", new_key, IRIS.record("demo", "new")),
        *buried("lost", record("lost", Text(HOSTILE)), "demo.3", "two full harvests missed it"),
        *buried("moved", record("moved", Text("Moved project", "en")), "demo.3", "deleted", IRIS.record("atlas", "a/1")),
        *added(elsewhere, "a/1", "atlas"),
        *added(record("new", Text("New project", "en")), "new"),
        *added(missed("away", record("away", Text("Away", "en")), GONE), "away"),
    ]  # fmt: skip
    Journal(data / "journal").append(results, run="demo.3", time=GONE)
    full = f'<{IRIS.source("demo")}> <{IRIS.operations}lastFullHarvest> "2026-03-08T08:00:00Z"^^<{XSD}dateTime> <{IRIS.status}> .'
    (data / "status.nq").write_text(full + "\n", encoding="utf-8")
    return data


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(data) as opened:
        yield opened


@session_loop
async def test_a_tombstone_has_time_reason_run_type_and_replacement(
    client: httpx.AsyncClient,
) -> None:
    heir = '<a href="/page/initiative/demo/new"><span lang="en" dir="auto">New project</span></a>'
    for path in PLACES:
        answer = await client.get(path, headers=HTML)

        assert answer.status_code == 410
        for text in (
            *(f'datetime="2026-03-0{day}T08:00:00Z"' for day in (1, 5, 9)), "its content came under a new key", 'href="/run/demo.2"',
            "Old project", "Ancien", heir,
        ):  # fmt: skip
            assert text in answer.text
    lost = await client.get("/page/initiative/demo/lost", headers=HTML)
    assert lost.status_code == 410
    assert "replaced" not in lost.text
    assert "<b>\nand" not in lost.text


@session_loop
async def test_what_is_gone_answers_410_in_every_format(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/record/demo/old", headers={"Accept": row.media})
        for row in GRAPHS.values()
    ]
    answers += [await client.get(f"/record/demo/old?format={suffix}") for suffix in GRAPHS]
    answers += [await client.get(f"/data/initiative/demo/old.{suffix}") for suffix in GRAPHS]

    assert [answer.status_code for answer in answers] == [410] * len(answers)
    assert all(
        "isReplacedBy" in answer.text and "wasInvalidatedBy" in answer.text for answer in answers
    )


@session_loop
async def test_what_has_vanished_is_served_and_marked(client: httpx.AsyncClient) -> None:
    for path in ("/page/initiative/demo/away", "/record/demo/away"):
        answer = await client.get(path, headers=HTML)

        assert answer.status_code == 200
        assert "No longer listed at the source since" in answer.text
        assert 'datetime="2026-03-09T08:00:00Z"' in answer.text
        assert "confirmed" not in answer.text
    page = (await client.get("/page/initiative/demo/away", headers=HTML)).text
    assert "Last full harvest started:" in page
    assert 'datetime="2026-03-08T08:00:00Z"' in page
    new = (await client.get("/page/initiative/demo/new", headers=HTML)).text
    assert "No longer listed at the source since" not in new


def test_the_deletions_file_lists_what_is_gone_and_nothing_else(data: Path, tmp_path: Path) -> None:
    files = {file.name: file for file in write_dumps(Journal(data / "journal"), tmp_path)}

    text = gzip.decompress(files["stocktake-1.gone.csv.gz"].read_bytes()).decode()
    lost, moved, old = csv.DictReader(text.splitlines(keepends=True))

    assert list(old) == list(COLUMNS)
    assert old == {
        "record": IRIS.record("demo", "old"), "thing": IRIS.thing("initiative", "demo", "old"), "identifier": "old",
        "title": "Old project", "first_seen": "2026-03-01T08:00:00Z", "gone": "2026-03-09T08:00:00Z", "run": IRIS.run("demo.2"),
        "reason": "its content came under a new key", "replaced_by": IRIS.record("demo", "new"),
    }  # fmt: skip
    assert (lost["title"], lost["replaced_by"]) == (HOSTILE, "")
    assert moved["replaced_by"] == IRIS.record("atlas", "a/1")


@session_loop
async def test_the_deletions_file_is_listed_and_served_with_its_sum(
    data: Path, client: httpx.AsyncClient
) -> None:
    write_dumps(Journal(data / "journal"), data / "dumps")

    listing, whole = await client.get("/dumps/"), await client.get("/dumps/stocktake-1.gone.csv.gz")
    response = await client.get("/dumps/stocktake-1.gone.csv.gz.sha256")

    assert "stocktake-1.gone.csv.gz" in listing.text
    digest = hashlib.sha256(whole.content).hexdigest()
    assert response.text == f"{digest}  stocktake-1.gone.csv.gz\n"


def test_where_nothing_is_gone_the_list_has_its_head_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(added(record("new", Text("New", "en")), "new"), run="r", time=SEEN)

    *_, path, _ = write_dumps(journal, tmp_path / "dumps")

    assert gzip.decompress(path.read_bytes()).decode() == ",".join(COLUMNS) + "\r\n"


@session_loop
async def test_a_thing_that_moved_to_another_registry_redirects_and_its_record_is_gone(
    client: httpx.AsyncClient,
) -> None:
    for kind, suffix in (("id", ""), ("page", ""), ("data", ".ttl")):
        answer = await client.get(f"/{kind}/initiative/demo/moved{suffix}", headers=HTML)
        place = f"/{kind}/initiative/atlas/a%2F1{suffix}"
        assert (answer.status_code, answer.headers["location"]) == (301, place)
    there = await client.get("/page/initiative/atlas/a%2F1", headers=HTML)
    tombstone = await client.get("/record/demo/moved.nt")

    assert (there.status_code, tombstone.status_code) == (200, 410)
    assert f"isReplacedBy> <{IRIS.record('atlas', 'a/1')}>" in tombstone.text
