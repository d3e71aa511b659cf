"""Whatever fails, /health and /metrics answer: the part is named with its cause and what to do, and
nothing is a 500.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copytree

import httpx
import pytest
from app_client import asking
from publish_fixture import copy_data
from small_world import IRIS

from journal import mirror_origin
from journal.mirror_origin import Origin, RefusedEntry
from publisher import damaged_files
from publisher.app import create_app
from publisher.errors import DamagedFiles
from publisher.store.query_service import QueryService
from publisher.store.snapshots import newest_snapshot

ORIGIN = Origin("https://origin.example/", IRIS.base, 3, "2026-03-01T03:15:00Z")
REFUSED = RefusedEntry(4, "it has no title", "2026-03-01T03:15:00Z", "mirror/refused/4", "x")
INVALID = (
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"url": 1, "base": "x"}', b'{"url": "x"}',
    b'{"url": "x", "base": "\\ud800"}', b'{"url": "x", "base": "y", "head": NaN}', b'{"url": "x", "base": "y", "head": "3"}',
    b'{"url": "x", "base": "y", "head": 1e400}', b'{"url": "x", "base": "y", "refused": "z"}', b'{"url": "x", "base": "y", "more": 1}',
    b'{"url": "x", "base": "y", "error": null}', b'{"url": "x", "base": "y", "refused": {"number": "4"}}',
)  # fmt: skip


@pytest.fixture(scope="module")
def mirrored(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a mirror whose store is level with its journal."""
    data: Path = copy_data(small, tmp_path_factory.mktemp("mirrored"), "store")
    mirror_origin.write(data / "journal", ORIGIN)
    return data


@pytest.fixture
def data(mirrored: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may damage."""
    return Path(copytree(mirrored, tmp_path / "data"))


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[tuple[QueryService, httpx.AsyncClient]]:
    async with (
        QueryService(data, IRIS, readers=1, follow=False) as service,
        asking(create_app(service), raises=False) as client,
    ):
        yield service, client


async def faults_of(client: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    """Return the faults by part; each has a cause and a remedy, and the metrics say degraded."""
    answer, metrics = await client.get("/health"), await client.get("/metrics")
    body = answer.json()
    assert (answer.status_code, metrics.status_code) == (200, 200)
    faults = {fault["part"]: fault for fault in body.get("faults", [])}
    assert body["status"] == ("degraded" if faults else "ok")
    assert all(fault["cause"] and fault["remedy"] for fault in faults.values())
    return faults


async def test_a_sound_mirror_has_no_faults(mirrored: Path) -> None:
    async with opened(mirrored) as (_, client):
        faults = await faults_of(client)

    assert faults == {}


async def test_invalid_description_of_the_origin_is_a_fault(data: Path) -> None:
    async with opened(data) as (_, client):
        for content in INVALID:
            (data / "journal" / mirror_origin.NAME).write_bytes(content)
            fault = (await faults_of(client))["origin of the mirror"]
            assert "journal/origin.json cannot be read" in fault["cause"]
            assert "stocktake mirror" in fault["remedy"]


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        (Origin("https://o.example/", IRIS.base, 3, "", "could not connect"), "check the address"),
        (Origin("https://o.example/", IRIS.base, 4, "", "it has no title", REFUSED), "report it"),
    ],
)
async def test_mirror_that_cannot_follow_is_degraded(
    data: Path, origin: Origin, remedy: str
) -> None:
    mirror_origin.write(data / "journal", origin)

    async with opened(data) as (_, client):
        faults = await faults_of(client)

    assert faults["origin of the mirror"]["cause"] == origin.error
    assert remedy in faults["origin of the mirror"]["remedy"]


@pytest.mark.parametrize("left", [None, Path.mkdir, Path.touch])
async def test_damaged_newest_entry_is_a_fault_of_the_journal(
    data: Path, left: Callable[[Path], None] | None
) -> None:
    newest = max((data / "journal").glob("*.rdfp.gz"))

    async with opened(data) as (_, client):
        newest.unlink()
        if left:
            left(newest)
        faults = await faults_of(client)
        pages = {
            path: (await client.get(path)).status_code
            for path in ("/", "/search", "/status", "/journal/", "/sparql?query=ASK%7B%7D")
        }

    assert set(faults) == ({"journal"} if left else set())
    assert set(pages.values()) <= {200, 503}, pages
    assert pages["/sparql?query=ASK%7B%7D"] == 200


async def test_flipped_bytes_of_any_file_never_are_a_500(data: Path) -> None:
    dice = random.Random(21)
    paths = [path for name in ("journal", "store") for path in sorted((data / name).rglob("*"))]

    async with opened(data) as (service, client):
        for path in [*paths, data / "status.nq"]:
            whole = path.read_bytes() if path.is_file() else b""
            if not whole:
                continue
            start = dice.randrange(len(whole))
            flipped = bytes(byte ^ 0xFF for byte in whole[start : start + 64])
            path.write_bytes(whole[:start] + flipped + whole[start + 64 :])
            for address in ("/health", "/metrics", "/livez", "/readyz"):
                answer = await client.get(address)
                assert answer.status_code == 200, f"{address}: {path} at {start}"
            path.write_bytes(whole)
            service.follower.projections.clear()


@pytest.mark.smoke
async def test_an_unexpected_error_of_a_part_is_a_fault_with_its_type(mirrored: Path) -> None:
    async def fail() -> list[object]:
        raise RuntimeError("nobody expected \udcff this")

    async with opened(mirrored) as (service, client):
        app = client._transport.app  # type: ignore[attr-defined]
        app.state.start.steps = fail
        service.follower.projections["search"] = {"position": 2, "error": "OSError: disk full"}
        faults = await faults_of(client)

    assert faults["first start"]["cause"] == "RuntimeError: nobody expected ? this"
    assert "disk full" in faults["search"]["cause"]


async def test_server_starts_with_a_damaged_description_of_its_snapshot(data: Path) -> None:
    snapshot = max((data / "store" / "snapshots").glob("[0-9]*"))
    about = json.loads((snapshot / "about.json").read_text())
    text = json.dumps({**about, "position": "3"}).encode()
    problem = f"snapshots/{snapshot.name}/about.json cannot be read"

    for content in (b"", b"[]", b"\xff", b'{"number": 1}', text):
        (snapshot / "about.json").write_bytes(content)
        with pytest.raises(DamagedFiles, match=problem):
            newest_snapshot(data / "store" / "snapshots")
    async with opened(data) as (_, client):
        answer = await client.get("/health")
    problem = damaged_files.discard_damaged(data / "store")

    assert (answer.status_code, answer.json()["status"]) == (503, "starting")
    assert "about.json cannot be read" in problem
    assert newest_snapshot(data / "store" / "snapshots") is None


def test_damaged_checksums_are_a_fault_and_are_rebuilt(data: Path) -> None:
    checksums = max((data / "store" / "snapshots").glob("*/checksums.json"))
    checksums.write_bytes(checksums.read_bytes()[:-9])

    faults = list(damaged_files.store_faults(data, IRIS, lambda _: None))
    damaged_files.repair(data, IRIS, faults)

    assert [fault.name.endswith("checksums.json") for fault in faults] == [True]
    assert not list(damaged_files.store_faults(data, IRIS, lambda _: None))
