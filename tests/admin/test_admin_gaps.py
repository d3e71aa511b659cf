from __future__ import annotations

import re
from typing import Any

import pytest

from harvesters.inspection.curation import find_gaps
from harvesters.source import load, read_word_table, word_table
from vocab.curated import NO_CONCEPT
from vocab.initiative import Initiative, Text
from vocab.iris import BASE, Iris

from .conftest import HOSTILE, store_record

PAGE = "/admin/page/gaps"
FORM = {"source": "projects", "word": "e-healt"}


@pytest.fixture
def harvested(operator: Any) -> Any:
    with operator.ledger.transaction() as connection:
        for number, words in enumerate((("e-healt",), ("e-healt", HOSTILE), ("x" * 500,))):
            titles, subjects = (Text("A project", "en"),), tuple(map(Text, words))
            record = Initiative(key=f"p{number}", titles=titles, subjects=subjects)
            store_record(connection, number, record)
    return operator


async def test_words_are_listed_with_the_nearest_concepts_and_escaped(harvested: Any) -> None:
    page = await harvested.page(PAGE)

    assert 'value="action-line:C7-ehea"' in page
    assert "<script>alert" not in page
    assert page.index("e-healt") < page.index("&lt;script&gt;")  # the more frequent first


async def test_a_choice_is_written_with_its_author_and_leaves_the_list(harvested: Any) -> None:
    stored = await harvested.send(
        PAGE, {**FORM, "concept": "action-line:C7-ehea", "comment": "a slip"}
    )
    page = await harvested.page(f"{PAGE}?source=projects")
    [item], faults = read_word_table(word_table(harvested.context.source_dir, "projects"))

    name = harvested.keys["operate"].display_name
    assert (stored.status_code, stored.headers["location"]) == (303, f"{PAGE}?source=projects")
    assert faults == []
    assert (item.word, item.concept, item.author, item.comment) == (
        "e-healt", "action-line:C7-ehea", name, "a slip",
    )  # fmt: skip
    assert 'name="word" value="e-healt"' not in page
    assert 'action="/admin/page/sources/projects/remap"' in page
    assert load(harvested.context.source_dir / "projects.toml").words == (
        ("e-healt", "action-line:C7-ehea"),
    )
    assert "chose the concept of a word of" in await harvested.page("/admin/page/audit-log")


@pytest.mark.parametrize(
    ("other", "message"),
    [("", "Choose a concept, or that none of these fits."), ("sdg:99", "There is no concept sdg:99.")],
)  # fmt: skip
async def test_a_missing_choice_keeps_the_list_and_what_was_entered(
    harvested: Any, other: str, message: str
) -> None:
    answer = await harvested.send(PAGE, {**FORM, "comment": "I am not sure", "other": other})

    entered = answer.text.partition('<li id="entered">')[2].partition("</li>")[0]
    assert answer.status_code == 422
    assert message in entered
    assert 'value="I am not sure"' in entered
    assert answer.text.count('name="word"') == 2


async def test_a_word_that_no_concept_fits_leaves_the_list_and_changes_no_rules(
    harvested: Any,
) -> None:
    await harvested.send(PAGE, {**FORM, "concept": NO_CONCEPT})

    page, folder = await harvested.page(PAGE), harvested.context.source_dir
    words, faults = read_word_table(word_table(folder, "projects"))
    gaps = find_gaps(harvested.ledger, ["projects"], Iris(BASE), 9, {"projects": words})
    assert faults == []
    assert 'name="word" value="e-healt"' not in page
    assert '<b dir="auto">e-healt</b> → None of these' in page
    assert "e-healt" not in {gap.word for gap in gaps}
    assert load(folder / "projects.toml").words == ()


@pytest.mark.parametrize(
    ("who", "form", "status"),
    [("operate", {"concept": "sdg:99"}, 422), ("operate", {}, 422), ("operate", {"word": " ", "concept": "sdg:4"}, 422),
     ("operate", {"concept": "sdg:4", "comment": "y" * 2001}, 422), ("operate", {"concept": "sdg:4", "source": "nowhere"}, 404),
     ("read", {"concept": "sdg:4"}, 403)],
    ids=["unknown concept", "no concept", "no word", "a long comment", "unknown source", "no operator"],
)  # fmt: skip
async def test_what_is_wrong_is_refused(
    harvested: Any, who: str, form: dict[str, str], status: int
) -> None:
    await harvested.sign_in(who)

    assert (await harvested.send(PAGE, FORM | form)).status_code == status
    assert not word_table(harvested.context.source_dir, "projects").exists()
    assert ("<form" in (await harvested.page(PAGE)).partition("<main")[2]) == (who == "operate")


async def test_faults_of_the_table_are_in_the_language_of_the_page(harvested: Any) -> None:
    file = word_table(harvested.context.source_dir, "projects")
    file.parent.mkdir(exist_ok=True)
    file.write_text("subject_label\tobject_id\tmapping_date\nx\tsdg:99\t\ny\tsdg:4\tyesterday\n")

    page = re.sub("<[^>]+>", "", await harvested.page(PAGE, "fr"))

    assert page.count(f"{file}, ligne 2 : concept inconnu") == 1
    assert "n’est pas une date" in page
