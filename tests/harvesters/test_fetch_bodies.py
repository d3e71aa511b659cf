from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from fetch_client import fetch_with
from rows import each

from harvesters.archive import Archive
from harvesters.errors import (
    ArchiveError,
    RefusedError,
    TemporaryFetchError,
    TooLargeError,
    TransferError,
)
from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.network.reply import decode_content
from web.outbound_client import Deadline, GuardedTransport

URL = "https://registry.example/records"
TEXT = b'[{"id": 1}]' * 1000
PACKED = gzip.compress(TEXT)
MANY = b"\0" * 50_000_000
BOMB = gzip.compress(MANY, 1)


def sent(content: bytes, encoding: str) -> httpx.MockTransport:
    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return (content[start : start + 1000] for start in range(0, len(content), 1000))

    headers = {"Content-Encoding": encoding}
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=Stream()))


def client(transport: httpx.BaseTransport, archive: Archive | None = None, **limits: Any) -> Fetch:
    policy = RetryPolicy(max_attempts=1, **limits)
    return fetch_with(transport, retry_policy=policy, pause=0, robots=False, archive=archive)


def ask(content: bytes, encoding: str, **limits: Any) -> bytes:
    with client(sent(content, encoding), **limits) as opened:
        return opened.get(URL).content


# Real servers send these bodies too: gzip with padding, no encoding, and no content.
@each(
    "content, encoding, text",
    [(PACKED, "gzip", TEXT), (PACKED, " GZIP", TEXT), (TEXT, "identity", TEXT), (b"", "gzip", b""),
     (PACKED + gzip.compress(b"[]") + b"\0" * 512, "x-gzip", TEXT + b"[]")],
)  # fmt: skip
def test_a_body_is_unpacked(content: bytes, encoding: str, text: bytes) -> None:
    assert ask(content, encoding) == text


@each("share", [0.1, 0.5, 0.9])
def test_a_packed_body_that_ends_early_is_never_taken_for_the_whole(share: float) -> None:
    with pytest.raises(TransferError, match="not in the encoding that it declares"):
        ask(PACKED[: int(len(PACKED) * share)], "gzip")


@each("encoding", ["gzip", "deflate", "zstd", "br", "gzip, gzip"])
def test_what_is_not_as_it_is_declared_or_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(TransferError, match="not in the encoding that it declares"):
        ask(TEXT, encoding)


def test_a_bomb_is_refused_in_bounded_memory() -> None:
    tracemalloc.start()

    with pytest.raises(TooLargeError, match="larger than 1,000,000 bytes"):
        ask(BOMB, "gzip", max_bytes=1_000_000)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_body_that_unfolds_to_nothing_does_not_go_on_for_ever() -> None:
    with pytest.raises(TooLargeError):
        ask(gzip.compress(b"") * 100_000, "gzip", max_bytes=1_000_000)


def test_pieces_are_small_however_they_are_packed() -> None:
    assert max(map(len, decode_content([BOMB], "gzip"))) <= 64 * 1024


# ---- addresses


class PartialNetwork(httpcore.NetworkBackend):
    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.dialled: list[str] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.dialled.append(host)
        if host in self.dead:
            raise httpcore.ConnectError(f"{host} is dead")
        return httpcore.MockStream(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"]
        )


def through(line: PartialNetwork, *answers: list[str]) -> Fetch:
    left = iter(answers)
    return client(GuardedTransport(resolve=lambda host, port: next(left), dial=line))


HOST = "http://registry.example/"
GOOD, DEAD, PRIVATE = "93.184.216.34", "2606:4700::1111", "10.0.0.1"


def test_the_address_that_was_checked_is_the_one_that_is_dialled() -> None:
    line = PartialNetwork()

    with through(line, [GOOD], [PRIVATE]) as opened:
        assert opened.get(HOST).content == b"[]"
        with pytest.raises(
            RefusedError, match=r"registry.example has the private address 10.0.0.1"
        ):
            opened.get(HOST)

    assert line.dialled == [GOOD]


def test_a_dead_address_is_passed_over_for_the_next() -> None:
    line = PartialNetwork(DEAD)

    with through(line, [DEAD, GOOD]) as opened:
        assert opened.get(HOST).content == b"[]"

    assert line.dialled == [DEAD, GOOD]


@each(
    "addresses, error, message, dialled",
    [([GOOD, PRIVATE], RefusedError, "private address", []), ([DEAD], TemporaryFetchError, "is dead", [DEAD]),
     ([], TemporaryFetchError, "has no address", [])],
)  # fmt: skip
def test_a_name_that_leads_nowhere_or_inside_is_not_asked(
    addresses: list[str], error: type[Exception], message: str, dialled: list[str]
) -> None:
    line = PartialNetwork(DEAD)

    with through(line, addresses) as opened, pytest.raises(error, match=message):
        opened.get(HOST)

    assert line.dialled == dialled


def test_a_deadline_that_is_over_ends_every_step_and_without_one_each_has_its_own_limit() -> None:
    deadline = Deadline(-1)

    with pytest.raises(httpcore.ReadTimeout):
        deadline.remaining(60.0, httpcore.ReadTimeout)

    assert Deadline().remaining(60.0, httpcore.ReadTimeout) == 60.0


def test_an_answer_that_takes_too_long_in_all_is_stalled() -> None:
    with pytest.raises(TransferError, match="exceeded its time limit"):
        ask(TEXT, "identity", response_timeout=-1)


# ---- the archive


def test_a_reply_that_cannot_be_kept_or_cut_back_to_its_checkpoint_ends_the_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_text("a file where a folder must be")

    with pytest.raises(ArchiveError, match="free disk space or fix the directory, then run again"):
        Archive(tmp_path, "a", "a.1")

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.1.warc.gz").symlink_to("/dev/full")
    with pytest.raises(ArchiveError, match=r"b\.1\.warc\.gz"):
        Archive(tmp_path, "b", "b.1", 10)


def test_a_disk_that_fills_while_a_reply_is_kept_is_reported(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "a", "a.1")
    full, file = open("/dev/full", "wb"), tmp_path / "a" / "a.1.warc.gz"  # noqa: SIM115 it takes the place of the file's own
    os.dup2(full.fileno(), archive._file.fileno())

    with full, pytest.raises(ArchiveError, match=f"archive {file}: No space left on device"):
        archive.write_response(URL, 200, [], b"[]")

    with pytest.raises(ArchiveError):
        archive.close()


def test_a_file_is_brought_to_disk_in_bounded_memory(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "s", "s.1")
    tracemalloc.start()

    with client(sent(BOMB, "gzip"), archive) as opened, opened.download(URL) as reply:
        peak, path = tracemalloc.get_traced_memory()[1], reply.path
        assert path is not None
        size, start = path.stat().st_size, reply.content
    tracemalloc.stop()
    archive.close()

    assert (size, start) == (len(MANY), MANY[: len(start)])
    assert peak < 5_000_000
    assert not path.exists()


def test_a_bomb_is_refused_long_before_the_limit_of_a_file() -> None:
    with pytest.raises(TransferError, match="more than 200 times its size"):
        ask(gzip.compress(bytes(300_000_000), 1), "gzip")


def test_a_file_over_its_limit_is_refused() -> None:
    with (
        client(sent(TEXT, "identity"), max_file_bytes=1000) as opened,
        pytest.raises(TooLargeError, match="larger than 1,000 bytes"),
        opened.download(URL),
    ):
        pass
