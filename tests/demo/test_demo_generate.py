from __future__ import annotations

from demo.generate import LANGUAGES, countries, generate_record, phrases


def test_a_record_is_the_same_whenever_it_is_made_and_another_seed_makes_others() -> None:
    first = [generate_record(5, number) for number in (3, 1, 2)]

    again = [generate_record(5, number) for number in (1, 2, 3)]

    assert [first[1], first[2], first[0]] == again

    assert generate_record(1, 10) != generate_record(2, 10)


def test_a_revision_keeps_the_id_and_changes_the_text() -> None:
    first, later = generate_record(1, 10), generate_record(1, 10, 1)

    assert later["id"] == first["id"]
    assert later["summary"] != first["summary"]


def test_keys_differ_and_all_languages_and_lines_occur() -> None:
    assert len({generate_record(1, number)["id"] for number in range(2000)}) == 2000

    created = [generate_record(1, number) for number in range(2000)]

    assert {tag for project in created for tag in project["title"]} == set(LANGUAGES)
    assert {code for project in created for code in project["lines"]} == set(phrases()["lines"])


def test_a_project_ends_after_it_starts_and_its_targets_belong_to_its_goals() -> None:
    periods = [generate_record(1, number)["period"] for number in range(2000)]

    assert all(period["from"] < period["to"] for period in periods)

    for project in (generate_record(1, number) for number in range(500)):
        named = " ".join(project["goals"]).split()
        assert all(target.partition(".")[0] in named for target in project["targets"])


def test_every_phrase_is_there_in_every_language() -> None:
    item = phrases()

    assert all(set(topic) == set(LANGUAGES) for topic in item["topics"].values())
    tables = ("audiences", "titles", "openers", "middles", "closers", "revised", "organizations")
    assert all(set(item[table]) == set(LANGUAGES) for table in tables)
    assert all(set(country["name"]) == set(LANGUAGES) for country in countries())


def test_every_sentence_is_whole_and_has_the_article_of_its_topic() -> None:
    item = phrases()
    for language, articles in (
        ("en", {"a", "an"}),
        ("fr", {"un", "une"}),
        ("es", {"un", "una"}),
        ("pt", {"um", "uma"}),
    ):
        assert {articles_of[language] for articles_of in item["articles"].values()} == articles
        assert all("{article} {topic}" in opener for opener in item["openers"][language])
    summaries = [
        text for number in range(2000) for text in generate_record(1, number)["summary"].values()
    ]

    assert [text for text in summaries if not text.endswith((".", "。"))] == []
    assert [
        text
        for text in summaries
        for wrong in ("  ", "{", " a open", " a archive", " a online")
        if wrong in text
    ] == []
    assert set(item["articles"]) == set(item["topics"])
