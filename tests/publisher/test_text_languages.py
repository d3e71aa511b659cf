"""Texts in any language are found by words with other endings or without accents, and by parts of
words.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import each
from search_index import search_index

from publisher.store.search import query
from publisher.store.search.index import SearchEntry, link_index
from publisher.store.search.query import SearchRequest
from publisher.store.search.searcher import Marker, Searcher

TITLES = {
    "en": "Telemedicine for remote clinics, a women's programme",
    "fr": "Télémédecine pour les cliniques isolées, l’accès à l’éducation", "es": "La educación digital de los niños",
    "ar": "التطبيب عن بعد للعيادات النائية والصحة", "zh": "远程医疗诊所的水资源管理", "ja": "東京都の遠隔医療システム",
    "ru": "Телемедицина для удалённых клиник", "hi": "ग्रामीण स्वास्थ्य सेवाओं का डिजिटलीकरण",
    "th": "การแพทย์ทางไกลสำหรับคลินิกในชนบท", "ko": "원격의료와 디지털교육의 확대",
    "de": "Ausbau der Gesundheitsversorgung in Großstädten", "tr": "Kırsal kütüphaneler için internet",
    "el": "Ψηφιακές βιβλιοθήκες", "km": "បណ្ណាល័យឌីជីថល", "fa": "کتابخانه‌های دیجیتال",
}  # fmt: skip


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Return an index with a title in each language."""
    entries = (
        SearchEntry(f"https://x.org/id/event/a/{language}", "event", "a", ((title, language),), ())
        for language, title in TITLES.items()
    )
    index: Searcher = search_index(tmp_path_factory.mktemp("texts"), entries)
    return index


def results_of(search: Searcher, words: str, **more: str) -> set[str]:
    hits = search.find(SearchRequest(words, **more), 50)
    return {thing.rpartition("/")[2] for thing in hits.scores}


@each(
    "words, languages",
    [("clinic", {"en"}), ("CLINICS remote", {"en"}), ("women", {"en"}), ('"remote clinics"', {"en"}), ('"clinics remote"', set()),
     ("telemed*", {"en", "fr"}), ("telemedecine", {"fr"}), ("clinique isolée", {"fr"}), ("education", {"fr"}), ("l'éducation", {"fr"}),
     ("niño", {"es"}), ("educacion", {"es"}), ("عيادات", {"ar"}), ("صِحّة", {"ar"}), ("الصحة", {"ar"}), ("医疗", {"zh"}),
     ("水资源", {"zh"}), ("资源水", set()), ("水", {"zh"}), ("理", {"zh"}), ("東京", {"ja"}), ("医療システム", {"ja"}), ("ｼｽﾃﾑ", {"ja"}),
     ("клиника", {"ru"}), ("УДАЛЕННЫХ", {"ru"}), ("телемедицины", {"ru"}), ("स्वास्थ्य", {"hi"}),
     ("सेवा", {"hi"}), ("คลินิก", {"th"}), ("ชนบท", {"th"}), ("의료", {"ko"}), ("교육", {"ko"}), ("Gesundheit*", {"de"}),
     ("GROSSSTADT", {"de"}), ("kutuphane", {"tr"}), ("βιβλιοθήκη", {"el"}), ("ΒΙΒΛΙΟΘΗΚΕΣ", {"el"}),
     ("បណ្ណាល័យ", {"km"}), ("دیجیتال", {"fa"}), ("clinics -women", set()), ("clinics OR 東京", {"en", "ja"}), ("clinics 東京", set()),
     ("", set(TITLES)), ("-clinics", set(TITLES) - {"en"})],
)  # fmt: skip
def test_words_find_what_has_them_and_nothing_else(
    search: Searcher, words: str, languages: Any
) -> None:
    assert results_of(search, words) == languages


@each(
    "words, languages",
    [("telemidicine", {"en", "fr"}), ("woman", {"en"}), ("Versorgung", {"de"}), ("cliniqeus", {"fr"}), ("bibliotheque", set()),
     ("Телемедецина", {"ru"})],
)  # fmt: skip
def test_similar_words_are_used_and_reported_where_none_match(
    search: Searcher, words: str, languages: set[str]
) -> None:
    hits = search.find(SearchRequest(words), 50)

    assert {thing.rpartition("/")[2] for thing in hits.scores} == languages
    assert hits.is_fuzzy == bool(languages)


def test_a_search_is_narrowed_by_language_and_kind(search: Searcher) -> None:
    assert results_of(search, "educacion", language="es") == {"es"}
    assert results_of(search, "educacion", language="de") == set()
    assert results_of(search, "", kind="post") == set()
    assert results_of(search, "clinic", field="text") == set()


@given(st.text(max_size=300) | st.text("\"*-() OR:^~[]{}/\\+'?.ab水", max_size=300))
@settings(max_examples=50, deadline=None)
def test_no_search_is_an_error(search: Searcher, words: str) -> None:
    hits = search.find(SearchRequest(words), 5)
    passage = Marker(words).passage("A text with some words and 水資源", "en")

    assert len(hits.scores) == min(hits.total, 5)
    assert "".join(piece.text for piece in passage) == "A text with some words and 水資源"


@each(
    "words, text, tag, marked",
    [("clinic", "Remote clinics, clinical work", "en", ["clinics", "clinical"]), ("telemed*", "Telemedicine", "en", ["Telemedicine"]),
     ("sante", "La santé d’abord", "fr", ["santé"]), ("资源", "水资源管理", "zh", ["资源"]), ("-clinic", "Remote clinics", "en", []),
     ("<b>", "a <b>bold</b> word", "en", ["b", "b"])],
)  # fmt: skip
def test_what_was_found_is_marked_and_nothing_is_lost(
    words: str, text: str, tag: str, marked: list[str]
) -> None:
    pieces = Marker(words).pieces(text, tag)

    assert [piece.text for piece in pieces if piece.is_match] == marked
    assert "".join(piece.text for piece in pieces) == text


def test_a_passage_shows_where_something_was_found() -> None:
    text = (
        "Many words stand before. " * 30 + "Here is the clinic. " + "Many words come after. " * 30
    )

    passage = Marker("clinics").passage(text, "en")

    assert [piece.text for piece in passage if piece.is_match] == ["clinic"]
    assert passage[0].text == "… "
    assert passage[-1].text == " …"
    assert len("".join(piece.text for piece in passage)) < 280


def test_a_snapshot_stays_as_it_is_while_the_index_changes(tmp_path: Path) -> None:
    one = SearchEntry("https://x.org/id/event/a/1", "event", "a", (("One", "en"),), ())
    search_index(tmp_path, [one])
    link_index(tmp_path / "index", tmp_path / "first")
    before = Searcher(tmp_path / "first")

    for number in range(2, 16):
        search_index(tmp_path, [one._replace(thing=f"https://x.org/id/event/a/{number}")])
    link_index(tmp_path / "index", tmp_path / "second")

    assert before.find(SearchRequest("one"), 1).total == 1
    assert Searcher(tmp_path / "first").find(SearchRequest("one"), 1).total == 1
    assert Searcher(tmp_path / "second").find(SearchRequest("one"), 1).total == 15


def test_files_that_a_merge_removes_while_they_are_linked_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = SearchEntry("https://x.org/id/event/a/1", "event", "a", (("One", "en"),), ())
    search_index(tmp_path / "before", [entry])
    search_index(tmp_path / "after", [entry, entry._replace(thing="https://x.org/id/event/a/2")])
    index, listed = tmp_path / "before" / "index", Path.iterdir

    def merged(folder: Path) -> Iterator[Path]:
        if folder == index and (after := tmp_path / "after" / "index").exists():
            shutil.rmtree(index)
            after.rename(index)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", merged)
    link_index(index, tmp_path / "linked")

    assert Searcher(tmp_path / "linked").find(SearchRequest("one"), 1).total == 2


@pytest.mark.parametrize(
    ("words", "languages"),
    [("telemedcine clinics", {"en"}), ("zzzzqqqq telemedcine", set()), ("zzzzqqqq -clinic", set())],
)
def test_similar_words_are_found_only_if_each_word_has_one(
    search: Searcher, words: str, languages: set[str]
) -> None:
    hits = search.find(SearchRequest(words), 50)

    assert ({thing.rpartition("/")[2] for thing in hits.scores}, hits.is_fuzzy) == (
        languages,
        bool(languages),
    )


def test_words_after_one_that_nothing_resembles_cost_no_patterns(search: Searcher) -> None:
    search.find(SearchRequest("xqzzzzqx"), 1)
    known = query._pattern.cache_info().misses

    hits = search.find(SearchRequest("xqzzzzqx telemedcineo kliniquez"), 1)

    assert hits.total == 0
    assert query._pattern.cache_info().misses == known
