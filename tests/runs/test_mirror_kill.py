from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from processes import end_with_parent
from waiting import WITHIN

from harvesters.mirror import Mirror, sync
from harvesters.network import download
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from journal.journal import Journal
from vocab.iris import BASE

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAWN = multiprocessing.get_context("forkserver")
URL = "https://origin.example/"


def follow(origin: str, folder: str, last: int) -> None:
    """Follow the journal in *origin*; die at request *last*, 0 for never."""
    if multiprocessing.parent_process():
        end_with_parent()
    journal, request_count = Journal(Path(origin)), 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal request_count
        request_count += 1
        if request_count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        if request.url.path == "/journal/head" and (head := journal.head):
            return httpx.Response(200, json={"base": BASE, "number": head.number, "id": head.id})
        entry = (
            journal.entry(int(request.url.path.removeprefix("/journal/").removesuffix(".gz")))
            if ".gz" in request.url.path
            else None
        )
        if entry is None:
            return httpx.Response(404)
        content = entry.path.read_bytes()
        first, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        part = content[first : end + 1]
        results = {
            "Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}",
            "ETag": f'"{entry.id}"',
        }
        return httpx.Response(206, content=part, headers=results)

    with (
        pytest.MonkeyPatch.context() as small,
        Fetch(
            NetworkSettings(transport=httpx.MockTransport(answer)), pause=0, robots=False
        ) as client,
    ):
        small.setattr(download, "PIECE", 150)
        sync(Mirror(Path(folder), URL, client, now=lambda: WHEN))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.rdfp.gz"))}


@pytest.mark.parametrize("last", [1, 3, 4, 7])
def test_a_killed_mirror_ends_with_the_same_bytes(tmp_path: Path, last: int) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "mirror"
    journal = Journal(origin)
    for number in (1, 2, 3):
        journal.append(
            [f'A <https://x.org/{number}> <https://x.org/p> "{number}" <https://x.org/g> .'],
            run=f"a.{number}",
            time=WHEN,
        )
    child = SPAWN.Process(target=follow, args=(str(origin), str(folder), last))
    child.start()
    child.join(WITHIN)
    before = files(folder / "journal")

    follow(str(origin), str(folder), 0)

    assert child.exitcode == -signal.SIGKILL
    assert before.items() <= files(origin).items()
    assert files(folder / "journal") == files(origin)
    assert Journal(folder / "journal").verify() == 3
