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
    data = copy_data(small, tmp_path_factory.mktemp("mirrored"), "store")
    mirror_origin.write(data / "journal", ORIGIN)
    result: Path = data
    return result


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


async def test_invalid_description_of_the_origin_is_a_fault(mirrored: Path, tmp_path: Path) -> None:
    data = Path(copytree(mirrored, tmp_path / "data"))

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
    mirrored: Path, tmp_path: Path, origin: Origin, remedy: str
) -> None:
    data = Path(copytree(mirrored, tmp_path / "data"))
    mirror_origin.write(data / "journal", origin)

    async with opened(data) as (_, client):
        faults = await faults_of(client)

    assert faults["origin of the mirror"]["cause"] == origin.error
    assert remedy in faults["origin of the mirror"]["remedy"]


def _remove(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_remove, _folder, _empty])
async def test_damaged_newest_entry_is_a_fault_of_the_journal(
    mirrored: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = Path(copytree(mirrored, tmp_path / "data"))
    newest = max((data / "journal").glob("*.rdfp.gz"))

    async with opened(data) as (_, client):
        damage(newest)
        faults = await faults_of(client)
        pages = {
            path: (await client.get(path)).status_code
            for path in ("/", "/search", "/status", "/journal/", "/sparql?query=ASK%7B%7D")
        }

    assert set(faults) == (set() if damage is _remove else {"journal"})
    assert set(pages.values()) <= {200, 503}, pages
    assert pages["/sparql?query=ASK%7B%7D"] == 200


async def test_flipped_bytes_of_any_file_never_are_a_500(mirrored: Path, tmp_path: Path) -> None:
    dice, data = random.Random(21), Path(copytree(mirrored, tmp_path / "data"))
    paths = [
        path
        for name in ("journal", "store")
        for path in sorted((data / name).rglob("*"))
        if path.is_file()
    ]

    async with opened(data) as (service, client):
        for path in [*paths, data / "status.nq"]:
            whole = path.read_bytes() if path.exists() else b""
            if not whole:
                continue
            start = dice.randrange(len(whole))
            path.write_bytes(
                whole[:start]
                + bytes(byte ^ 0xFF for byte in whole[start : start + 64])
                + whole[start + 64 :]
            )
            statuses = [
                (await client.get(address)).status_code
                for address in ("/health", "/metrics", "/livez", "/readyz")
            ]
            path.write_bytes(whole)
            assert statuses == [200, 200, 200, 200], f"{path} at {start}"
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


async def test_server_starts_with_a_damaged_description_of_its_snapshot(
    mirrored: Path, tmp_path: Path
) -> None:
    data = Path(copytree(mirrored, tmp_path / "data"))
    snapshot = max((data / "store" / "snapshots").glob("[0-9]*"))
    about = json.loads((snapshot / "about.json").read_text())
    invalid = (
        b"",
        b"[]",
        b"\xff",
        b'{"number": 1}',
        json.dumps({**about, "position": "3"}).encode(),
    )

    for content in invalid:
        (snapshot / "about.json").write_bytes(content)
        with pytest.raises(
            DamagedFiles, match=f"snapshots/{snapshot.name}/about.json cannot be read"
        ):
            newest_snapshot(data / "store" / "snapshots")
    async with opened(data) as (_, client):
        answer = await client.get("/health")
    problem = damaged_files.discard_damaged(data / "store")

    assert (answer.status_code, answer.json()["status"]) == (503, "starting")
    assert "about.json cannot be read" in problem
    assert newest_snapshot(data / "store" / "snapshots") is None


def test_damaged_checksums_are_a_fault_and_are_rebuilt(mirrored: Path, tmp_path: Path) -> None:
    data = Path(copytree(mirrored, tmp_path / "data"))
    checksums = max((data / "store" / "snapshots").glob("*/checksums.json"))
    checksums.write_bytes(checksums.read_bytes()[:-9])

    faults = list(damaged_files.store_faults(data, IRIS, lambda _: None))
    damaged_files.repair(data, IRIS, faults)

    assert [fault.name.endswith("checksums.json") for fault in faults] == [True]
    assert not list(damaged_files.store_faults(data, IRIS, lambda _: None))
