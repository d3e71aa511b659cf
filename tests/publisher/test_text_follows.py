"""The index of texts follows the journal: it finds what is published, at the entry that the store
shows, whatever happens on the way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from followers import follower, follower_process
from structlog.testing import capture_logs
from waiting import wait_until

from journal.files import SharedLock
from journal.journal import Journal
from publisher.sparql.rewriting import rewrite
from publisher.store.columns.database import ColumnUpdater
from publisher.store.follow import EmbeddedStore, Runner
from publisher.store.query_service import QueryService
from publisher.store.search.index import SearchUpdater
from publisher.store.search.query import SearchRequest
from publisher.store.search.searcher import Searcher, open_searcher
from publisher.store.snapshots import Snapshot, newest_snapshot
from publisher.store.workers.query_request import QueryRequest
from vocab.annotations import Deletion, write_tombstone
from vocab.describe import describe, quads
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record

IRIS = Iris("https://x.org/")
FIRST, LATER = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
GONE = Deletion("run-2", LATER, "its source says that it was deleted")

Start = Callable[[Path], Runner[EmbeddedStore]]


def statements(
    key: str, title: str, lead: str = "Ministry of Health", at: datetime = FIRST
) -> list[str]:
    initiative = Initiative(
        key=key, titles=(Text(title, "en"),), parties=(Party(Role.LEAD, Text(lead, "en")),)
    )
    about = Provenance("demo", "run-1", "fields", "ab" * 32, FIRST, at)
    return sorted([*describe(initiative, IRIS, "demo"), *describe_record(key, IRIS, about)])


def commit(data: Path, key: str, before: list[str], after: list[str]) -> None:
    rows = [f"D {quad}" for quad in quads(sorted({*before} - {*after}), IRIS.record("demo", key))]
    rows += [f"A {quad}" for quad in quads(sorted({*after} - {*before}), IRIS.record("demo", key))]
    Journal(data / "journal").append(rows, run="run-1", time=FIRST)


@pytest.fixture
def follow() -> Iterator[Start]:
    """Open followers; they are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda data: opened.enter_context(closing(indexed(data)))


def indexed(data: Path) -> Runner[EmbeddedStore]:
    opened: Runner[EmbeddedStore] = follower(data, (SearchUpdater,), iris=IRIS)
    return opened


def latest(following: Runner[EmbeddedStore]) -> Snapshot:
    """Step until the index is level with the store; return the newest snapshot."""

    # On a busy machine the index appears some steps later than the store.
    def is_level() -> bool:
        latest = following.step() or newest_snapshot(following.store.snapshots)
        return (
            latest is not None
            and latest.text == latest.position == following.position
            and following.step() is None
        )

    wait_until(is_level, "the index to be level with the store", pause=0.01)
    snapshot = newest_snapshot(following.store.snapshots)
    assert snapshot
    assert snapshot.text == snapshot.position
    return snapshot


def things(snapshot: Snapshot, words: str) -> list[str]:
    search = open_searcher(snapshot.path)
    assert search
    return sorted(
        thing.removeprefix("https://x.org/id/")
        for thing in search.find(SearchRequest(words), 100_000).scores
    )


def test_what_is_new_changed_gone_and_back_is_found_as_it_is_published(
    tmp_path: Path, follow: Start
) -> None:
    new = statements("1", "Remote clinics")
    changed = statements("1", "Rural schools")
    back = statements("1", "Remote clinics", at=LATER)
    gone = write_tombstone("1", "demo", GONE, FIRST, changed, IRIS)
    commit(tmp_path, "2", [], statements("2", "Other things"))
    following = follow(tmp_path)
    states = []

    for before, after in (([], new), (new, changed), (changed, gone), (gone, back)):
        commit(tmp_path, "1", before, after)
        at = latest(following)
        states.append((things(at, "clinics"), things(at, "schools")))

    assert states == [
        (["initiative/demo/1"], []),
        ([], ["initiative/demo/1"]),
        ([], []),
        (["initiative/demo/1"], []),
    ]


def test_an_organization_is_found_until_the_last_record_that_names_it_is_gone(
    tmp_path: Path, follow: Start
) -> None:
    one, two = statements("1", "Remote clinics"), statements("2", "Rural schools")
    commit(tmp_path, "1", [], one)
    commit(tmp_path, "2", [], two)
    following = follow(tmp_path)
    both = things(latest(following), "ministry")

    commit(tmp_path, "1", one, write_tombstone("1", "demo", GONE, FIRST, one, IRIS))
    first = things(latest(following), "ministry")
    commit(tmp_path, "2", two, write_tombstone("2", "demo", GONE, FIRST, two, IRIS))
    second = things(latest(following), "ministry")

    ministry = "organization/demo/ministry-of-health"
    assert both == ["initiative/demo/1", "initiative/demo/2", ministry]
    assert first == ["initiative/demo/2", ministry]
    assert second == []


def test_a_change_is_shown_in_store_and_index_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With so much time, a busy machine too updates both in one step.
    monkeypatch.setattr("publisher.store.follow.SLICE", 60.0)
    for updated in (ColumnUpdater, SearchUpdater):
        monkeypatch.setattr(updated, "snapshot_wait", 60.0)
    commit(tmp_path, "1", [], statements("1", "One"))
    with closing(follower(tmp_path, (SearchUpdater,), iris=IRIS)) as following:
        latest(following)

        commit(tmp_path, "2", [], statements("2", "Two"))
        snapshot = following.step()

        assert snapshot
        assert (snapshot.position, snapshot.text) == (2, 2)
        assert latest(following).position == 2


def test_an_older_state_still_finds_what_it_held(tmp_path: Path, follow: Start) -> None:
    commit(tmp_path, "1", [], statements("1", "One"))
    following = follow(tmp_path)
    old = latest(following)
    with closing(SharedLock(old.path)):  # Otherwise it is deleted after two newer ones.
        commit(tmp_path, "1", statements("1", "One"), statements("1", "Two"))
        new = latest(following)

        assert (things(old, "one"), things(new, "one")) == (["initiative/demo/1"], [])


def test_a_commit_of_the_index_that_was_interrupted_is_repeated(tmp_path: Path) -> None:
    for key in "12345":
        commit(tmp_path, key, [], statements(key, f"Remote clinics {key}"))
    with closing(indexed(tmp_path)) as following:
        latest(following)
    text = tmp_path / "store" / "text"
    files = (text / "index" / "meta.json", text / "position.json")
    before = [(path, path.read_bytes()) for path in files]
    segments = {path.name for path in (text / "index").glob("*.idx")}
    commit(tmp_path, "1", statements("1", "Remote clinics 1"), statements("1", "Rural schools"))
    with closing(indexed(tmp_path)) as following:
        latest(following)

    for path, content in before:
        path.write_bytes(content)
    with closing(indexed(tmp_path)) as following:
        following.finish()

        assert things(latest(following), "schools") == ["initiative/demo/1"]
    # A new index would have segments with other names.
    assert segments <= {path.name for path in (text / "index").glob("*.idx")}


def test_equal_results_have_one_order_however_the_index_was_built(
    tmp_path: Path, follow: Start
) -> None:
    steps, whole = tmp_path / "steps", tmp_path / "whole"
    for data in (steps, whole):
        following = follow(data)
        for key in ("7", "21", "3"):
            commit(data, key, [], statements(key, f"Network {key}"))
            if data == steps:
                latest(following)
        commit(data, "21", statements("21", "Network 21"), statements("21", "Network 21", at=LATER))
        latest(following)

    orders = [
        list(searched(data).matches(SearchRequest("network"), 10).scores) for data in (steps, whole)
    ]

    assert orders[0] == orders[1] == sorted(orders[0])
    assert len(orders[0]) == 3


def searched(data: Path) -> Searcher:
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot
    search = open_searcher(snapshot.path)
    assert search
    return search


MINISTRY = "https://x.org/id/organization/demo/ministry-of-health"
ALSO = f'<{MINISTRY}> <http://www.w3.org/2004/02/skos/core#prefLabel> "Ministère de la Santé"@fr'
CLASS = f"<{MINISTRY}> <http://www.w3.org/ns/org#classification> <https://x.org/scheme/stakeholder-type/government>"


def scheme(name: str, label: str, more: str = "") -> list[str]:
    iri = f"<https://x.org/scheme/{name}>"
    core = "http://www.w3.org/2004/02/skos/core#"
    return [
        f"{iri} <{core}inScheme> <https://x.org/scheme/{name.partition('/')[0]}>",
        f"{iri} <{core}prefLabel> {label}",
        *([more] if more else []),
    ]


def publish(data: Path, before: list[str], after: list[str]) -> None:
    """Write an entry that changes the action lines or the types of organization."""
    graph = (
        "https://x.org/scheme/" + (before or after)[0].partition("/scheme/")[2].partition("/")[0]
    )
    rows = [f"D {quad}" for quad in quads(sorted({*before} - {*after}), graph)]
    rows += [f"A {quad}" for quad in quads(sorted({*after} - {*before}), graph)]
    Journal(data / "journal").append(rows, run="vocabulary", time=FIRST)


def test_things_are_found_by_a_name_that_an_organization_gets_later(
    tmp_path: Path, follow: Start
) -> None:
    commit(tmp_path, "1", [], statements("1", "Remote clinics"))
    following = follow(tmp_path)
    before = things(latest(following), "santé")

    commit(tmp_path, "2", [], [*statements("2", "Rural schools"), ALSO])
    named = things(latest(following), "santé")
    commit(
        tmp_path, "2", [*statements("2", "Rural schools"), ALSO], statements("2", "Rural schools")
    )

    assert before == []
    assert named == [
        "initiative/demo/1",
        "initiative/demo/2",
        "organization/demo/ministry-of-health",
    ]
    assert things(latest(following), "santé") == []


def test_things_are_found_by_the_type_that_an_organization_gets_later(
    tmp_path: Path, follow: Start
) -> None:
    publish(tmp_path, [], scheme("stakeholder-type/government", '"Government"@en'))
    commit(tmp_path, "1", [], statements("1", "Remote clinics"))
    following = follow(tmp_path)
    before = things(latest(following), "government")

    commit(tmp_path, "2", [], [*statements("2", "Rural schools"), CLASS])

    assert before == []
    assert "initiative/demo/1" in things(latest(following), "government")


def test_things_are_found_by_links_and_labels_as_they_are_now(
    tmp_path: Path, follow: Start
) -> None:
    line = "<https://x.org/scheme/action-line/C3>"
    linked = [
        *statements("1", "One"),
        f"<https://x.org/id/initiative/demo/1> <https://x.org/ns#actionLine> {line}",
    ]
    zebra, okapi = (scheme("action-line/C3", f'"{word}"@en') for word in ("Zebra", "Okapi"))
    publish(tmp_path, [], zebra)
    commit(tmp_path, "1", [], statements("1", "One"))
    following = follow(tmp_path)
    states = [(things(at, "zebra"), things(at, "okapi")) for at in [latest(following)]]

    changes: tuple[Callable[[], object], ...] = (
        lambda: commit(tmp_path, "1", statements("1", "One"), linked),
        lambda: publish(tmp_path, zebra, okapi),
        lambda: commit(tmp_path, "1", linked, statements("1", "One")),
    )
    for change in changes:
        change()
        at = latest(following)
        states.append((things(at, "zebra"), things(at, "okapi")))

    assert states == [([], []), (["initiative/demo/1"], []), ([], ["initiative/demo/1"]), ([], [])]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder of 700 records of one organization, with a store and an index that are
    level with its journal, and one more entry, which renames the organization.
    """
    data = tmp_path_factory.mktemp("many")
    publish(data, [], scheme("action-line/C3", '"Zebra"@en'))
    rows = [
        f"A {quad}"
        for key in range(700)
        for quad in quads(statements(str(key), f"Thing {key}"), IRIS.record("demo", str(key)))
    ]
    Journal(data / "journal").append(rows, run="r", time=FIRST)
    first = indexed(data)
    assert things(latest(first), "santé") == []
    first.close()
    commit(data, "new", [], [*statements("new", "Thing new"), ALSO])
    return data


@pytest.mark.parametrize("reached", ["store", "index", "text"])
def test_killed_while_an_organization_is_renamed_it_ends_in_the_same_index(
    many: Path, tmp_path: Path, reached: str
) -> None:
    shutil.copytree(many, tmp_path, dirs_exist_ok=True)
    files = {*(tmp_path / "store" / "text" / "index").iterdir()}

    # The store shows the entry first, and then the index follows.
    def is_reached() -> bool:
        at = newest_snapshot(tmp_path / "store" / "snapshots")
        if reached == "index":
            return bool({*(tmp_path / "store" / "text" / "index").iterdir()} - files)
        return at is not None and (at.position if reached == "store" else at.text) == 3

    with follower_process(tmp_path, IRIS.status):
        wait_until(is_reached, f"the {reached} to reach entry 3", pause=0.002)

    second = indexed(tmp_path)
    try:
        at = latest(second)
    finally:
        second.close()

    assert len(things(at, "santé")) == 702
    assert len(things(at, "zebra")) == 0


@pytest.fixture(scope="module")
def leveled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder of two records with a store and an index, which tests must copy."""
    data = tmp_path_factory.mktemp("leveled")
    for key, title in (("1", "One"), ("2", "Two")):
        commit(data, key, [], statements(key, title))
    with closing(indexed(data)) as following:
        latest(following)
    return data


@pytest.fixture
def copied(leveled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(leveled, tmp_path, dirs_exist_ok=True))


ALL = ["initiative/demo/1", "initiative/demo/2", "organization/demo/ministry-of-health"]


@pytest.mark.parametrize("former", ["1 tantivy-0.25.0 stemmer-3.0.0", ""])
def test_a_store_of_an_older_format_is_not_read_but_built_again(
    copied: Path, follow: Start, former: str
) -> None:
    store = copied / "store"
    old = newest_snapshot(store / "snapshots")
    assert old
    about = json.loads((Path(old.path) / "about.json").read_text())
    (Path(old.path) / "about.json").write_text(json.dumps(about | {"format": former}))
    (store / "format").write_text(former)
    (store / "columns" / "work.duckdb").write_bytes(b"an older file")
    (store / "text" / "index" / "meta.json").write_bytes(b"{}")

    meanwhile = newest_snapshot(store / "snapshots")
    with capture_logs() as lines:
        at = latest(follow(copied))

    assert meanwhile is None
    assert at.number > old.number
    assert things(at, "one") == ["initiative/demo/1"]
    assert "store is of another format; building it from the journal" in [
        line["event"] for line in lines
    ]


@pytest.mark.parametrize(
    "lost",
    ["text/index", "text/position.json", "text", "store", "position.json", "!text/index/meta.json", "!text/position.json"],
)  # fmt: skip
def test_what_is_lost_or_spoiled_is_made_anew(copied: Path, follow: Start, lost: str) -> None:
    path = copied / "store" / lost.removeprefix("!")
    if lost.startswith("!"):
        path.write_bytes(b"\x00 no JSON {")
    else:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    commit(copied, "3", [], statements("3", "Three"))

    assert things(latest(follow(copied)), "") == sorted([*ALL, "initiative/demo/3"])


def test_an_index_that_cannot_be_written_stops_nothing(copied: Path, follow: Start) -> None:
    following = follow(copied)

    shutil.rmtree(copied / "store" / "text")
    commit(copied, "3", [], statements("3", "Three"))
    snapshot = following.step()

    assert snapshot
    assert snapshot.position == 3
    assert things(latest(following), "three") == ["initiative/demo/3"]


@pytest.mark.parametrize("reached", ["index/meta.json", "index/*.term", "position.json"])
def test_killed_at_any_point_it_ends_in_the_same_index(
    tmp_path: Path, follow: Start, reached: str
) -> None:
    records = {
        str(key): statements(str(key), f"Thing {key}", f"Body {key % 50}") for key in range(400)
    }
    rows = [
        f"A {quad}"
        for key, lines in records.items()
        for quad in quads(lines, IRIS.record("demo", key))
    ]
    for start in range(0, len(rows), 3_500):
        Journal(tmp_path / "journal").append(rows[start : start + 3_500], run="r", time=FIRST)
    text = tmp_path / "store" / "text"
    with follower_process(tmp_path, IRIS.status):
        wait_until(lambda: any(text.glob(reached)), f"the follower to write {reached}", pause=0.002)

    at = latest(follow(tmp_path))

    assert len(things(at, "thing")) == 400
    assert sum(thing.startswith("organization/") for thing in things(at, "body")) == 50
    assert len(things(at, "body")) == 450
    assert things(at, '"thing 17"') == ["initiative/demo/17"]


async def test_what_was_rewritten_by_a_state_is_answered_by_that_state(tmp_path: Path) -> None:
    one, changed = statements("1", "One"), statements("1", "Two")
    search = QueryRequest(
        'SELECT ?title { ?thing <http://jena.apache.org/text#query> "one" ; <http://purl.org/dc/terms/title> ?title }',
        "csv",
    )
    commit(tmp_path, "1", [], one)
    async with QueryService(tmp_path, IRIS, readers=1) as service:
        await service.wait_until_current(is_indexed=True)
        before = await rewrite(service, search)
        commit(tmp_path, "1", one, changed)
        await service.wait_until_current(is_indexed=True)
        after = await rewrite(service, search)

        answers = []
        for question in (before, after):
            answer = await service.query(question)
            answers.append(b"".join([chunk async for chunk in answer.chunks()]).split())
            answer.close()

    assert answers == [[b"title", b"One"], [b"title"]]
