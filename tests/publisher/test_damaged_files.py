"""A server that finds damaged files of its store or indexes answers 503 and rebuilds the files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from shutil import copytree, rmtree

import httpx
import pytest
from app_client import asking
from in_process import SITE, reading, running, serving
from small_world import IRIS
from structlog.testing import capture_logs
from waiting import wait_until

from publisher.app import create_app
from publisher.store.query_service import QueryService
from publisher.store.verification import build_local, discard_damaged, store_faults

PAGES = (
    "/",
    "/search?q=health",
    "/topics",
    "/sparql?query=SELECT(COUNT(*)AS%3Fn)%7BGRAPH%3Fg%7B%3Fs%3Fp%3Fo%7D%7D",
)
# The copied folder has no hard links: a file that is damaged in the store is whole in the snapshot,
# and the other way round. That /health never fails over damaged files is tested in test_health.py.
KINDS = ("snapshots/*/columns/*", "snapshots/*/store/*.sst")
DAMAGED = (
    pytest.param(KINDS, id="all"),
    *(
        pytest.param((pattern,), id=pattern, marks=pytest.mark.nightly)
        for pattern in (*KINDS, "snapshots/*/text/*", "store/*.sst", "position.json")
    ),
)


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(len(content) // 20, len(content), max(80, len(content) // 16)):
        content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    path.write_bytes(content)


@pytest.mark.parametrize("patterns", DAMAGED)
def test_damaged_files_are_rebuilt_and_pages_never_answer_500(
    small: Path, tmp_path: Path, patterns: tuple[str, ...]
) -> None:
    data = Path(copytree(small, tmp_path / "data"))
    for pattern in patterns:
        paths = [path for path in (data / "store").glob(pattern) if path.is_file()]
        assert paths
        for path in paths:
            _damage(path)
    statuses: set[int] = set()

    with (
        running(serving(data)) as transport,
        httpx.Client(transport=transport, base_url=SITE) as client,
    ):

        def is_sound() -> bool:
            answers = [client.get(page).status_code for page in PAGES]
            statuses.update(answers)
            return (
                set(answers) == {200}
                and client.get("/health").json()["status"] == "ok"
                and not list(store_faults(data))
            )

        wait_until(is_sound, "all files to be rebuilt", pause=0.5)

    assert statuses <= {200, 503}


def test_files_of_an_older_format_that_nothing_follows_answer_503(
    small: Path, tmp_path: Path
) -> None:
    data = Path(copytree(small, tmp_path / "data"))
    [snapshot] = (data / "store/snapshots").glob("0*")
    about = json.loads((snapshot / "about.json").read_text())
    (snapshot / "about.json").write_text(json.dumps(about | {"format": "14 duckdb-1"}))
    rmtree(snapshot / "store")  # a worker could not open it

    with (
        capture_logs() as lines,
        running(reading(data)) as transport,
        httpx.Client(transport=transport, base_url=SITE) as client,
    ):
        answers = [client.get(page) for page in (*PAGES, "/source/projects", "/feeds/all.atom")]

    assert {answer.status_code for answer in answers} == {503}
    assert all("Retry-After" in answer.headers for answer in answers)
    assert not [line for line in lines if line["event"] == "query worker cannot open the snapshot"]


async def test_a_failure_is_a_damaged_file_when_the_snapshot_was_rebuilt_meanwhile(
    small: Path, tmp_path: Path
) -> None:
    data = Path(copytree(small, tmp_path / "data"))
    rebuilt = Path(copytree(small, tmp_path / "rebuilt"))
    for path in (rebuilt / "store" / "snapshots").glob("*/store/*.sst"):
        _damage(path)
    assert discard_damaged(rebuilt / "store")
    await asyncio.to_thread(build_local, rebuilt, IRIS)
    async with QueryService(data, IRIS, readers=1, follow=False) as service:
        await service.refresh()
        assert service.snapshot
        before = service.snapshot.number
        assert await service.find_damage() == ""

        (data / "store").rename(tmp_path / "before")
        (rebuilt / "store").rename(data / "store")
        await service.refresh()

        assert before < service.snapshot.number
        assert "/ is missing" in await service.find_damage()


async def test_an_unexpected_error_over_a_damaged_file_answers_503_and_is_not_raised_again(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("a wrong length")

    async with QueryService(small, IRIS, readers=1, follow=False) as service:
        monkeypatch.setattr("publisher.linked_data.health.find_faults", fail)
        async with asking(create_app(service)) as client:
            # No file is damaged, so the error is the fault of our code, and the server logs it.
            with pytest.raises(ValueError, match="a wrong length"):
                await client.get("/health")
            monkeypatch.setattr(service, "find_damage", _changed_store)
            app = create_app(service)
        async with asking(app) as client:
            with capture_logs() as lines:
                answer = await client.get("/health")

    assert answer.status_code == 503
    assert "rebuilt" in answer.text
    assert [line["reason"] for line in lines if line["log_level"] == "warning"] == [
        "ValueError: a wrong length"
    ]


async def test_a_panic_of_an_engine_over_a_damaged_file_answers_503(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {})

    async def fail(*_: object) -> None:
        raise panic("assertion failed")

    async with QueryService(small, IRIS, readers=1, follow=False) as service:
        monkeypatch.setattr("publisher.linked_data.health.find_faults", fail)
        monkeypatch.setattr(service, "find_damage", _changed_store)
        async with asking(create_app(service)) as client:
            answer = await client.get("/health")

    assert (answer.status_code, "rebuilt" in answer.text) == (503, True)


async def _changed_store() -> str:
    return "store/x has changed"
