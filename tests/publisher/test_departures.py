"""What is gone answers 410 in every format with all that is kept of it, and each dump lists it."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from app_client import served
from event_loops import session_loop

from journal.journal import Journal
from publisher.formats import GRAPHS
from publisher.releases.deletions import COLUMNS
from publisher.releases.dump import write_dumps
from vocab.initiative import Initiative, Text
from vocab.iris import Iris
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import Provenance, describe_record
from vocab.statements.tombstone import Deletion, mark_vanished, write_tombstone
from vocab.terms import XSD

IRIS = Iris()
SEEN, MISSED, GONE = (datetime(2026, 3, day, 8, tzinfo=UTC) for day in (1, 5, 9))
HOSTILE = 'Lost, "bold" <b>\nand more'
HTML = {"Accept": "text/html"}
PLACES = ("/page/initiative/demo/old", "/record/demo/old")


def record(key: str, *titles: Text) -> list[str]:
    result = describe(Initiative(key=key, titles=titles), IRIS, "demo")
    return sorted(
        [
            *result,
            *describe_record(
                key, IRIS, Provenance("demo", "demo.1", "fields", "ab" * 16, SEEN, SEEN)
            ),
        ]
    )


def rows(content: list[str], key: str) -> list[str]:
    return [f"A {quad}" for quad in quads(content, IRIS.record("demo", key))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a world of one record that was replaced, its heir, one that went without a trace, and
    one that has vanished.
    """
    data = tmp_path_factory.mktemp("departures")
    old = record("old", Text("Ancien", "fr"), Text("Old project", "en"))
    lost = record("lost", Text(HOSTILE))
    moved = record("moved", Text("Moved project", "en"))
    elsewhere = [line.replace("/demo/", "/atlas/") for line in record("a/1", Text("There", "en"))]
    old = mark_vanished("\n".join(old), "old", "demo", MISSED, IRIS).split("\n")
    results = [
        *rows(
            write_tombstone(
                "old",
                "demo",
                Deletion(
                    "demo.2", GONE, "its content came under a new key", IRIS.record("demo", "new")
                ),
                SEEN,
                old,
                IRIS,
            ),
            "old",
        ),
        *rows(
            write_tombstone(
                "lost",
                "demo",
                Deletion("demo.3", GONE, "two full harvests missed it"),
                SEEN,
                lost,
                IRIS,
            ),
            "lost",
        ),
        *rows(
            write_tombstone(
                "moved",
                "demo",
                Deletion("demo.3", GONE, "deleted", IRIS.record("atlas", "a/1")),
                SEEN,
                moved,
                IRIS,
            ),
            "moved",
        ),
        *(f"A {quad}" for quad in quads(elsewhere, IRIS.record("atlas", "a/1"))),
        *rows(record("new", Text("New project", "en")), "new"),
        *rows(
            mark_vanished(
                "\n".join(record("away", Text("Away", "en"))), "away", "demo", GONE, IRIS
            ).split("\n"),
            "away",
        ),
    ]
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
    for path in PLACES:
        answer = await client.get(path, headers=HTML)

        assert answer.status_code == 410
        assert [f'datetime="2026-03-0{day}T08:00:00Z"' in answer.text for day in (1, 5, 9)] == [
            True
        ] * 3
        assert "its content came under a new key" in answer.text
        assert 'href="/run/demo.2"' in answer.text
        assert "Old project" in answer.text
        assert "Ancien" in answer.text
        assert (
            '<a href="/page/initiative/demo/new"><span lang="en" dir="auto">New project</span></a>'
            in answer.text
        )


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
async def test_a_tombstone_without_a_reason_or_an_heir_has_a_page_too(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/page/initiative/demo/lost", headers=HTML)

    assert answer.status_code == 410
    assert "replaced" not in answer.text
    assert "<b>\nand" not in answer.text


@session_loop
@pytest.mark.parametrize("path", ["/page/initiative/demo/away", "/record/demo/away"])
async def test_what_has_vanished_is_served_and_marked(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)

    assert answer.status_code == 200
    assert "No longer listed at the source since" in answer.text
    assert 'datetime="2026-03-09T08:00:00Z"' in answer.text
    assert "confirmed" not in answer.text


@session_loop
async def test_the_page_of_a_missing_record_names_the_last_full_harvest(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/page/initiative/demo/away", headers=HTML)).text

    assert "Last full harvest started:" in page
    assert 'datetime="2026-03-08T08:00:00Z"' in page


@session_loop
async def test_what_is_there_is_not_marked(client: httpx.AsyncClient) -> None:
    assert "Not met" not in (await client.get("/page/initiative/demo/new", headers=HTML)).text


def test_the_deletions_file_lists_what_is_gone_and_nothing_else(data: Path, tmp_path: Path) -> None:
    files = {file.name: file for file in write_dumps(Journal(data / "journal"), tmp_path)}

    text = gzip.decompress(files["stocktake-1.gone.csv.gz"].read_bytes()).decode()
    lost, moved, old = csv.DictReader(text.splitlines(keepends=True))

    assert list(old) == list(COLUMNS)
    assert old == {
        "record": IRIS.record("demo", "old"),
        "thing": IRIS.thing("initiative", "demo", "old"),
        "identifier": "old",
        "title": "Old project",
        "first_seen": "2026-03-01T08:00:00Z",
        "gone": "2026-03-09T08:00:00Z",
        "run": IRIS.run("demo.2"),
        "reason": "its content came under a new key",
        "replaced_by": IRIS.record("demo", "new"),
    }
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
    assert (
        response.text == f"{hashlib.sha256(whole.content).hexdigest()}  stocktake-1.gone.csv.gz\n"
    )


def test_where_nothing_is_gone_the_list_has_its_head_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(rows(record("new", Text("New", "en")), "new"), run="r", time=SEEN)

    *_, path, _ = write_dumps(journal, tmp_path / "dumps")

    assert gzip.decompress(path.read_bytes()).decode() == ",".join(COLUMNS) + "\r\n"


@session_loop
async def test_a_thing_that_moved_to_another_registry_redirects_and_its_record_is_gone(
    client: httpx.AsyncClient,
) -> None:
    answers = [
        await client.get(path, headers=HTML)
        for path in (
            "/id/initiative/demo/moved",
            "/page/initiative/demo/moved",
            "/data/initiative/demo/moved.ttl",
        )
    ]
    tombstone = await client.get("/record/demo/moved.nt")

    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [
        (301, "/id/initiative/atlas/a%2F1"),
        (301, "/page/initiative/atlas/a%2F1"),
        (301, "/data/initiative/atlas/a%2F1.ttl"),
    ]
    assert (await client.get("/page/initiative/atlas/a%2F1", headers=HTML)).status_code == 200
    assert tombstone.status_code == 410
    assert f"isReplacedBy> <{IRIS.record('atlas', 'a/1')}>" in tombstone.text
