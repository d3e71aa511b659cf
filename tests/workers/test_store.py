from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import boto3
import pytest
from damage import count_verified
from fetch_client import read_body
from moto.core.authorization import enable_iam_authentication
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from waiting import wait_until

from harvesters.archive import Archive
from journal import store
from journal.entry import Entry, write
from journal.errors import ChainError, JournalError, JournalWriteError
from journal.journal import Journal, journal_faults
from journal.store import Store
from publisher.errors import ReleaseError
from publisher.releases import copies
from publisher.releases.builder import build_release
from publisher.store.releases import newest_release
from vocab.iris import Iris

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE = 'A <https://x.example/s> <https://x.example/p> "one" <https://x.example/g> .'
TWO = 'A <https://x.example/s> <https://x.example/p> "two" <https://x.example/g> .'
_COUNT = iter(range(1_000_000))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    threaded_moto_server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    threaded_moto_server.start()
    host, port = threaded_moto_server.get_host_and_port()
    yield f"http://{host}:{port}"
    threaded_moto_server.stop()


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    use_server(monkeypatch, server)
    bucket = f"bucket-{next(_COUNT)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/stocktake"


def use_server(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    for name, value in {
        "ENDPOINT_URL": server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)


def journal(data: Path, url: str) -> Journal:
    store.bind_replica(data / "journal", url)
    return Journal(data / "journal")


def runs(of: Journal) -> list[str]:
    return [entry.run for entry in of.entries()]


def commit(to: Journal, run: str = "a.1", row: str = ONE, **more: Any) -> Entry:
    return to.append([row], run=run, time=NOW, **more)


@pytest.mark.parametrize("conditional", [True, False])
def test_an_object_name_is_used_once_also_without_conditional_put(
    tmp_path: Path, url: str, conditional: bool
) -> None:
    (tmp_path / "a").write_text("one")
    registry = Store(url if conditional else f"file://{tmp_path}/store")
    registry.add("room/a", tmp_path / "a")

    with pytest.raises(FileExistsError):
        registry.add("room/a", tmp_path / "a")
    assert registry.names("room") == ["a"]


def test_another_machine_continues_the_journal_and_recovers_it_after_a_crash(
    tmp_path: Path, url: str
) -> None:
    one, other = journal(tmp_path / "1", url), journal(tmp_path / "2", url)

    commit(one)
    commit(other, "b.1", TWO)
    fresh = journal(tmp_path / "3", url)

    assert runs(fresh) == ["a.1", "b.1"]
    assert count_verified(fresh) == 2
    for path in fresh.folder.glob("*.gz"):
        assert path.read_bytes() == (other.folder / path.name).read_bytes()
    for path in one.folder.glob("*.gz"):  # as after a crash that followed the upload
        path.unlink()
    assert runs(journal(tmp_path / "1", url)) == ["a.1", "b.1"]


@pytest.mark.parametrize("age", [10, 1_000])
def test_requests_per_refresh_and_commit_do_not_grow_with_the_journal(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture, age: int
) -> None:
    one, last = journal(tmp_path / "1", url), None
    for number in range(1, age + 1):
        path = one.folder / f"{number:09d}.rdfp.gz"
        last = write(path, [ONE if number % 2 else TWO], last, f"a.{number}", NOW)
        _put(url, path.name, path.read_bytes())

    def asked(action: Callable[[], object]) -> list[str]:
        caplog.clear()
        action()
        lines = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
        return re.findall(r"(GET|PUT|HEAD|POST|DELETE) /", "\n".join(lines))

    refresh, append = asked(one.refresh), asked(lambda: commit(one, "b.1"))

    assert (refresh[0], refresh.count("PUT")) == ("GET", 0)
    assert (append[0], append.count("PUT")) == ("GET", 1)
    assert len(append) <= 6  # the requests: look, list, length and start of the last entry, put
    assert one.head is not None
    assert one.head.number == age + 1


def test_concurrent_writers_never_share_a_number(tmp_path: Path, url: str) -> None:
    """The server of these tests checks and writes in two steps, so the second commit is made at a
    chosen place, not by chance.
    """
    journals = [journal(tmp_path / str(number), url) for number in range(2)]

    for number in range(8):
        late, early = journals[number % 2], journals[1 - number % 2]
        meanwhile = partial(commit, early, f"early.{number}", TWO)
        with pytest.raises(JournalWriteError, match=f"another writer has taken number {number + 1}"):  # fmt: skip
            commit(late, f"late.{number}", fence=meanwhile)

    fresh = journal(tmp_path / "3", url)
    assert count_verified(fresh) == 8
    assert runs(fresh) == [f"early.{number}" for number in range(8)]


def test_a_half_written_object_is_ignored(tmp_path: Path) -> None:
    registry, folder = f"file://{tmp_path}/store", tmp_path / "store" / "journal"
    folder.mkdir(parents=True)
    (folder / "000000001.rdfp.gz.000000001.rdfp.part.part").write_bytes(b"half")

    before = journal(tmp_path / "1", registry).head
    commit(journal(tmp_path / "2", registry))

    assert before is None
    assert count_verified(journal(tmp_path / "3", registry)) == 1


def test_a_follower_and_a_writer_see_entries_of_another_machine(tmp_path: Path, url: str) -> None:
    one, other, writer = (journal(tmp_path / number, url) for number in "123")
    before, unread = other.change_token, writer.head
    commit(one)
    writer.refresh()  # reads the newest entry for the first time
    assert (unread, writer.head and writer.head.number) == (None, 1)

    other = Journal(other.folder)  # a second later
    after = other.change_token

    assert after != before
    assert [path.name for path in other.folder.glob("*.gz")] == ["000000001.rdfp.gz"]
    assert Journal(other.folder).change_token == after  # a look that finds nothing changes nothing


def test_an_unreachable_store_stops_writers_but_not_readers(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = journal(tmp_path / "1", url)
    commit(one)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    other = journal(tmp_path / "2", "s3://nowhere/stocktake").folder
    shutil.copy(next(one.folder.glob("*.gz")), other)

    reader = Journal(other, patience=0)

    assert runs(reader) == ["a.1"]
    with pytest.raises(JournalWriteError, match="cannot read or write journal/000000002"):
        commit(reader, "b.1", TWO)


def test_a_corrupted_entry_in_the_store_is_refused(tmp_path: Path, url: str) -> None:
    commit(journal(tmp_path / "1", url))
    _put(url, "000000002.rdfp.gz", b"spoiled")

    reader = journal(tmp_path / "2", url)

    assert runs(reader) == ["a.1"]
    assert "entry 2 cannot be decompressed" in reader.store_error
    assert "restore that entry from a backup or a mirror" in reader.store_error
    with pytest.raises(ChainError, match="entry 2 cannot be decompressed"):
        commit(reader, "b.1", TWO)


def _put(url: str, name: str, body: bytes) -> None:
    bucket = url.removeprefix("s3://").partition("/")[0]
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"stocktake/journal/{name}", body)


def _delete(url: str, path: Path) -> None:
    key = f"stocktake/journal/{path.name}"
    boto3.client("s3").delete_object(Bucket=url.split("/")[2], Key=key)


def _emptied(url: str, paths: list[Path], other: list[Path]) -> None:
    for path in paths:
        _delete(url, path)


def _replaced(url: str, paths: list[Path], other: list[Path], length: int = 2) -> None:
    for path in other[:length]:
        _put(url, path.name, path.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_emptied, r"has no entry 2, which is [0-9a-f]{64} .* emptied or replaced; put the entries of .* back"),
     (_replaced, "has another entry 2 .*: THEIRS there, OURS here"),
     (partial(_replaced, length=3), "entry 3 follows [0-9a-f]{64}, but our entry before it is [0-9a-f]{64}.*use another one"),
     (lambda url, paths, other: _put(url, paths[1].name, paths[1].read_bytes()[:-20]), "has another entry 2 .* cut short"),
     (lambda url, paths, other: _delete(url, paths[0]), "has entry 2, but entry 1 is missing .* restore it")],
)  # fmt: skip
def test_a_store_that_is_not_ours_any_more_is_not_written_to(
    tmp_path: Path, url: str, spoil: Callable[..., None], message: str
) -> None:
    one, other = journal(tmp_path / "1", url), Journal(tmp_path / "other")
    for number, row in enumerate([ONE, TWO], 1):
        commit(one, f"a.{number}", row)
    for number in (1, 2, 3):
        commit(other, f"other.{number}", TWO)
    spoil(url, [entry.path for entry in one.entries()], [entry.path for entry in other.entries()])
    writer = journal(tmp_path / "2", url) if "missing" in message else one
    before = Store(url).names("journal")

    ids = {name: next(of.entries(after=1)).id for name, of in (("OURS", one), ("THEIRS", other))}
    with pytest.raises(ChainError, match=re.sub("OURS|THEIRS", lambda name: ids[name[0]], message)):
        commit(writer, "a.3")

    assert Store(url).names("journal") == before
    assert list(writer.folder.glob("*.part")) == []


def test_readers_and_verification_name_the_entry_that_the_store_lacks(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    one = journal(tmp_path / "1", shared.as_uri())
    entries = [one.append([ONE], run=f"r.{number}", time=NOW) for number in range(1, 6)]
    (shared / "journal" / entries[1].path.name).rename(tmp_path / "aside")
    reader = journal(tmp_path / "2", shared.as_uri())

    wait_until(lambda: bool(reader.head and reader.store_error), "the reader to compare")
    faults = [*journal_faults(reader)]
    (tmp_path / "aside").rename(shared / "journal" / entries[1].path.name)
    repaired = [*journal_faults(journal(tmp_path / "3", shared.as_uri()))]

    assert reader.head is not None
    assert reader.head.number == 1
    assert "has entry 5, but entry 2 is missing" in reader.store_error
    (fault,) = faults
    assert f"{fault.problem}; {fault.remedy}" == reader.store_error
    assert repaired == []


def test_read_only_keys_write_nothing_and_are_reported(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    may_read = {"Effect": "Allow", "Action": ["s3:List*", "s3:Get*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_read]})
    iam.put_user_policy(UserName="reader", PolicyName="may-read", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    one = journal(tmp_path / "1", url)

    denied = r"bucket-\d+/stocktake: .*journal/000000001\S*: Access Denied; .*permission to list, read and write"
    with enable_iam_authentication(), pytest.raises(JournalWriteError, match=denied):
        commit(one)

    assert (one.head, Store(url).names("")) == (None, [])


@pytest.mark.nightly
def test_a_commit_waits_for_the_end_of_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    first.start()
    port = first.get_host_and_port()[1]
    second = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    use_server(monkeypatch, f"http://127.0.0.1:{port}")
    boto3.client("s3").create_bucket(Bucket="outage")
    one = journal(tmp_path / "1", "s3://outage/stocktake")
    back = Timer(1.0, second.start)

    def stop() -> None:
        first.stop()
        back.start()

    try:
        entry = commit(one, fence=stop)
        copied = runs(journal(tmp_path / "2", "s3://outage/stocktake"))
    finally:
        back.join()
        second.stop()

    assert (entry.number, copied) == (1, ["a.1"])


def test_a_directory_with_its_own_journal_is_not_bound_and_a_missing_bucket_is_named(
    tmp_path: Path, url: str
) -> None:
    commit(Journal(tmp_path / "journal"))

    with pytest.raises(JournalError, match="has a journal of its own"):
        store.bind_replica(tmp_path / "journal", url)
    with pytest.raises(JournalWriteError, match="create the bucket first"):
        commit(journal(tmp_path / "1", "s3://no-such-bucket/stocktake"))


def test_another_machine_reads_the_archived_responses(tmp_path: Path, url: str) -> None:
    registry = Store(url)
    first = Archive(tmp_path / "1", "a", "a.1", 0, registry)
    stored = first.write_response("https://x.example/1", 200, [], b"page 1")
    first.publish_file()
    checkpoint = first.length
    first.write_response("https://x.example/2", 200, [], b"page 2, of which no checkpoint tells")
    first.publish_file()
    first.close()
    second = Archive(tmp_path / "2", "a", "a.1", checkpoint, registry)
    again = second.write_response("https://x.example/2", 200, [], b"page 2 again")
    second.publish_file()
    second.close()

    assert read_body(tmp_path / "3", stored, registry) == b"page 1"
    assert read_body(tmp_path / "3", again, registry) == b"page 2 again"


def test_a_release_is_the_same_files_on_every_machine(tmp_path: Path, url: str) -> None:
    journal(tmp_path / "1", url).append([ONE], run="a.1", time=NOW)
    release = build_release(tmp_path / "1", Iris(), NOW)
    copies.upload(tmp_path / "1", release.number)
    copies.upload(tmp_path / "1", release.number)  # as after a crash
    journal(tmp_path / "2", url)

    assert copies.download(tmp_path / "2") == [1]
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / number / "releases" / "1").iterdir()}
        for number in "12"
    )
    assert newest_release(tmp_path / "2" / "releases") is not None
    assert one == other


def test_a_release_is_cut_by_one_machine(tmp_path: Path, url: str) -> None:
    journal(tmp_path / "1", url).append([ONE], run="a.1", time=NOW)
    journal(tmp_path / "2", url)
    created = [
        build_release(tmp_path / number, Iris(), NOW.replace(second=int(number))) for number in "12"
    ]
    copies.upload(tmp_path / "1", created[0].number)

    with pytest.raises(ReleaseError, match="was built on another machine at the same time"):
        copies.upload(tmp_path / "2", created[1].number)
