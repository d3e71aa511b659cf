"""A store that machines share: a real S3 server on loopback, and a folder of fsspec's for what has no conditional put."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from harvesters.archive import Archive, read
from journal import store
from journal.entry import write
from journal.errors import FullError, JournalError
from journal.log import Journal
from journal.store import Store
from publisher.errors import ReleaseError
from publisher.releases import stored
from publisher.releases.making import make
from publisher.releases.release import newest
from vocab.iris import Iris

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE = 'A <https://x.example/s> <https://x.example/p> "one" <https://x.example/g> .'
TWO = 'A <https://x.example/s> <https://x.example/p> "two" <https://x.example/g> .'
_COUNT = iter(range(1_000_000))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    it = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    it.start()
    host, port = it.get_host_and_port()
    yield f"http://{host}:{port}"
    it.stop()


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    told = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in told.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = f"bucket-{next(_COUNT)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/stocktake"


def journal(data: Path, url: str) -> Journal:
    store.settle(data / "journal", url)
    return Journal(data / "journal")


def test_a_name_is_given_once(tmp_path, url):
    (tmp_path / "a").write_text("one")
    there = Store(url)
    there.add("room/a", tmp_path / "a")

    with pytest.raises(FileExistsError):
        there.add("room/a", tmp_path / "a")
    assert there.names("room") == ["a"]


def test_what_has_no_conditional_put_keeps_to_it_too(tmp_path):
    (tmp_path / "a").write_text("one")
    there = Store(f"file://{tmp_path}/store")
    there.add("room/a", tmp_path / "a")

    with pytest.raises(FileExistsError):
        there.add("room/a", tmp_path / "a")
    assert there.names("room") == ["a"]


def test_what_one_machine_commits_another_reads_and_goes_on_from(tmp_path, url):
    one, other = journal(tmp_path / "1", url), journal(tmp_path / "2", url)

    one.append([ONE], run="a.1", time=NOW)
    other.append([TWO], run="b.1", time=NOW)
    fresh = journal(tmp_path / "3", url)

    assert [entry.run for entry in fresh.entries()] == ["a.1", "b.1"]
    assert fresh.verify() == 2
    names = sorted(path.name for path in fresh.folder.glob("*.gz"))
    assert [(fresh.folder / name).read_bytes() for name in names] == [(other.folder / name).read_bytes() for name in names]


def test_of_two_that_write_the_same_number_one_is_told(tmp_path, url):
    one, other = journal(tmp_path / "1", url), journal(tmp_path / "2", url)

    with pytest.raises(FullError, match="another writer has taken number 1"):
        one.append([ONE], run="a.1", time=NOW, fence=lambda: other.append([TWO], run="b.1", time=NOW) and None)

    assert [entry.run for entry in journal(tmp_path / "3", url).entries()] == ["b.1"]


def test_a_write_whose_machine_died_before_its_copy_was_made_is_found_again(tmp_path, url):
    one = journal(tmp_path / "1", url)
    one.append([ONE], run="a.1", time=NOW)
    next(one.folder.glob("*.gz")).unlink()

    assert [entry.run for entry in journal(tmp_path / "1", url).entries()] == ["a.1"]


@pytest.mark.parametrize("age", [10, 1_000])
def test_what_a_look_and_a_commit_cost_does_not_grow_with_the_journals_age(tmp_path, url, caplog, age):
    one, last, bucket = journal(tmp_path / "1", url), None, url.removeprefix("s3://").partition("/")[0]
    for number in range(1, age + 1):
        path = one.folder / f"{number:09d}.rdfp.gz"
        last = write(path, [ONE if number % 2 else TWO], last, f"a.{number}", NOW)
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"stocktake/journal/{path.name}", path.read_bytes())

    requests = [_asked(caplog, one.look), _asked(caplog, lambda: one.append([ONE], run="b.1", time=NOW))]

    assert requests == [["GET"], ["GET", "PUT"]]
    assert one.head is not None
    assert one.head.number == age + 1


def _asked(caplog: pytest.LogCaptureFixture, deed: Callable[[], object]) -> list[str]:
    """Give the methods of the requests that the server heard during *deed*."""
    caplog.clear()
    deed()
    heard = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    return [match[1] for line in heard if (match := re.search(r"(GET|PUT|HEAD|POST|DELETE) /", line))]


def test_of_two_committers_that_meet_at_every_number_one_has_each(tmp_path, url):
    """The server of these tests looks and puts in two steps, so the committers meet at a place that is named, not by chance."""
    journals, refused = [journal(tmp_path / str(number), url) for number in range(2)], []

    for number in range(8):
        first, second = journals[number % 2], journals[1 - number % 2]
        try:
            first.append([ONE], run=f"late.{number}", time=NOW, fence=lambda it=second, n=number: _commit(it, f"early.{n}"))
        except FullError:
            refused.append(number)

    fresh = journal(tmp_path / "3", url)
    assert refused == list(range(8))
    assert fresh.verify() == 8
    assert [entry.run for entry in fresh.entries()] == [f"early.{number}" for number in range(8)]


def _commit(to: Journal, run: str) -> None:
    to.append([TWO], run=run, time=NOW)


def test_what_a_crash_left_half_written_in_a_folder_is_no_entry_and_stands_in_nobodys_way(tmp_path):
    there = f"file://{tmp_path}/store"
    (tmp_path / "store" / "journal").mkdir(parents=True)
    half = tmp_path / "store" / "journal" / "000000001.rdfp.gz.000000001.rdfp.part.part"
    half.write_bytes(b"half")

    before = journal(tmp_path / "1", there).head
    journal(tmp_path / "2", there).append([ONE], run="a.1", time=NOW)

    assert before is None
    assert journal(tmp_path / "3", there).verify() == 1


def test_who_follows_by_the_stamp_alone_sees_what_another_machine_commits(tmp_path, url):
    one, other = journal(tmp_path / "1", url), journal(tmp_path / "2", url)
    before = other.stamp
    one.append([ONE], run="a.1", time=NOW)

    other = Journal(other.folder)  # a second later
    after = other.stamp

    assert after != before
    assert [path.name for path in other.folder.glob("*.gz")] == ["000000001.rdfp.gz"]
    assert Journal(other.folder).stamp == after  # a look that finds nothing changes nothing


def test_who_writes_knows_the_last_entry_whenever_it_last_looked(tmp_path, url):
    one, other = journal(tmp_path / "1", url), journal(tmp_path / "2", url)
    none = other.head
    one.append([ONE], run="a.1", time=NOW)

    other.look()

    assert none is None
    assert other.head is not None
    assert other.head.number == 1


def test_a_store_that_does_not_answer_stops_a_writer_and_no_reader(tmp_path, url, monkeypatch):
    one = journal(tmp_path / "1", url)
    one.append([ONE], run="a.1", time=NOW)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    other = journal(tmp_path / "2", "s3://nowhere/stocktake").folder
    shutil.copy(next(one.folder.glob("*.gz")), other)

    reader = Journal(other)

    assert [entry.run for entry in reader.entries()] == ["a.1"]
    with pytest.raises(FullError, match="does not take or give journal/000000002"):
        reader.append([TWO], run="b.1", time=NOW)


def test_an_entry_that_was_spoiled_in_the_store_is_not_taken_in(tmp_path, url):
    one = journal(tmp_path / "1", url)
    one.append([ONE], run="a.1", time=NOW)
    (tmp_path / "spoiled").write_bytes(b"spoiled")
    Store(url).add("journal/000000002.rdfp.gz", tmp_path / "spoiled")

    with pytest.raises(JournalError, match="entry 2 cannot be unpacked"):
        list(journal(tmp_path / "2", url).entries())


def test_a_folder_with_a_journal_of_its_own_becomes_no_copy(tmp_path, url):
    Journal(tmp_path / "journal").append([ONE], run="a.1", time=NOW)

    with pytest.raises(JournalError, match="holds a journal of its own"):
        store.settle(tmp_path / "journal", url)


def test_replies_are_read_on_another_machine_also_after_one_died(tmp_path, url):
    there = Store(url)
    first = Archive(tmp_path / "1", "a", "a.1", 0, there)
    kept = first.keep("https://x.example/1", 200, [], b"page 1")
    first.share()
    checkpoint = first.length
    first.keep("https://x.example/2", 200, [], b"page 2, of which no checkpoint tells")
    first.share()
    first.close()
    second = Archive(tmp_path / "2", "a", "a.1", checkpoint, there)
    again = second.keep("https://x.example/2", 200, [], b"page 2 again")
    second.share()
    second.close()

    assert read(tmp_path / "3", kept, there) == b"page 1"
    assert read(tmp_path / "3", again, there) == b"page 2 again"


def test_a_release_is_the_same_files_on_every_machine(tmp_path, url):
    journal(tmp_path / "1", url).append([ONE], run="a.1", time=NOW)
    made = make(tmp_path / "1", Iris(), NOW)
    stored.put(tmp_path / "1", made.number)
    stored.put(tmp_path / "1", made.number)  # as after a crash
    journal(tmp_path / "2", url)

    assert stored.fetch(tmp_path / "2") == [1]
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / number / "releases" / "1").iterdir()} for number in "12")
    assert newest(tmp_path / "2" / "releases") is not None
    assert one == other


def test_two_machines_do_not_both_cut_a_release(tmp_path, url):
    journal(tmp_path / "1", url).append([ONE], run="a.1", time=NOW)
    journal(tmp_path / "2", url)
    made = [make(tmp_path / number, Iris(), NOW.replace(second=int(number))) for number in "12"]
    stored.put(tmp_path / "1", made[0].number)

    with pytest.raises(ReleaseError, match="was cut on another machine at the same time"):
        stored.put(tmp_path / "2", made[1].number)
