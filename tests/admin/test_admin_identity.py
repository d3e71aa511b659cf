"""The admin pages of pairs that may be one thing: side by side, explained, decided, taken back,
published; all without scripts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import compress
from harvesters.matching.clusters import classify_stored
from harvesters.matching.pairs import Judgement
from harvesters.matching.scoring import Feature, Score
from harvesters.matching.stored import (
    current_decisions,
    decision_history,
    pair_id,
    read_entities,
    store_pairs,
)
from journal.journal import Journal
from languages.request_locale import LANGUAGES
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris
from vocab.statements.describe import describe

from .conftest import HOSTILE

PAGE = "/admin/page/identity"
IRIS = Iris()
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
LEAD = (Party(Role.LEAD, Text("Kenya ICT Action Network"), country=KENYA),)
RECORDS = (
    ("north", "a/1", "Telemedicine for the clinics of Marsabit", "2024-02-01"),
    ("south", "b", "Telemedicine for <i>Marsabit</i> clinics", None),
)
PAIR = (IRIS.thing("initiative", "north", "a/1"), IRIS.thing("initiative", "south", "b"))
ID = pair_id(PAIR)


@pytest.fixture
def matched(world: Any) -> Any:
    """Return the world with two records that may be one initiative, which were matched."""
    with world.ledger.transaction() as connection:
        for number, (source, key, title, start) in enumerate(RECORDS):
            resource = Initiative(
                key=key, titles=(Text(title, "en"),), countries=(KENYA,), parties=LEAD, start=start
            )
            row = {
                "source": source, "key": key, "state": "published", "first_seen": datetime(2026, 1, 1), "run": "r", "seq": number,
            }  # fmt: skip
            connection.execute(sa.insert(t.record).values(**row, digest="", content="", misses=0))
            text = compress("\n".join(describe(resource, IRIS, source)))
            connection.execute(
                sa.insert(t.description).values(run="r", seq=number, statements=text)
            )
    score = Score(
        (Feature("name", 7.4, "telemedicine | telemedicine <i>"), Feature("country", 2.0, "1 of 1"))
    )
    with read_entities(world.ledger, IRIS) as entities:
        store_pairs(world.ledger, [(PAIR, score)], entities)
    return world


async def test_the_queue_lists_pairs_and_the_pair_has_both_sides(matched: Any) -> None:
    await matched.sign_in("read")

    queue, page = await matched.page(PAGE), await matched.page(f"{PAGE}/pairs/{ID}")
    inbox = await matched.page("/admin/")

    assert f'href="{PAGE}/pairs/{ID}"' in queue
    assert f'<a href="{PAGE}" class="waiting">Duplicates <bdi>1</bdi></a>' in inbox
    assert "<i>" not in queue + page
    assert "<mark>Telemedicine for the clinics of Marsabit</mark>" in page
    assert "Kenya" in page
    assert "the name" in page
    assert "Decide, and show the next pair" not in page  # of an operator


async def test_a_decision_is_stored_with_its_author_and_taken_back(matched: Any) -> None:
    await matched.sign_in("operate")
    token = {"csrf": await matched.csrf()}

    decided = await matched.client.post(
        f"{PAGE}/pairs/{ID}", data={**token, "judgement": "positive", "reason": f"one {HOSTILE}"}
    )
    page = await matched.page(f"{PAGE}/pairs/{ID}")
    current = current_decisions(matched.ledger)[PAIR]
    undone = await matched.client.post(
        f"{PAGE}/pairs/{ID}", data={**token, "judgement": "undo", "reason": "a slip"}
    )
    again = await matched.client.post(f"{PAGE}/pairs/{ID}", data={**token, "judgement": "undo"})

    assert (decided.status_code, decided.headers["location"]) == (303, PAGE)  # no other pair waits
    assert (current.judgement, current.who) == (
        Judgement.POSITIVE,
        matched.keys["operate"].display_name,
    )
    assert "Take the decision back" in page
    assert "<script>alert" not in page
    assert (undone.status_code, again.status_code) == (303, 404)
    assert current_decisions(matched.ledger) == {}
    assert [decision.reason for decision in decision_history(matched.ledger)] == [
        f"one {HOSTILE}",
        "a slip",
    ]
    assert "decided whether two records are one thing" in await matched.page(
        "/admin/page/audit-log"
    )


@pytest.mark.parametrize(
    ("form", "status"),
    [({"judgement": "maybe"}, 422), ({}, 422), ({"judgement": "positive", "reason": "x" * 2001}, 422)],
    ids=["another word", "nothing", "a long reason"],
)  # fmt: skip
async def test_what_is_no_decision_is_refused(
    matched: Any, form: dict[str, str], status: int
) -> None:
    await matched.sign_in("operate")

    answer = await matched.send(f"{PAGE}/pairs/{ID}", {**form})

    assert answer.status_code == status
    assert current_decisions(matched.ledger) == {}


@pytest.mark.parametrize("path", [f"{PAGE}/pairs/{ID}", f"{PAGE}/publish"])
async def test_deciding_wants_an_operator(matched: Any, path: str) -> None:
    await matched.sign_in("read")

    answer = await matched.send(path, {"judgement": "positive"})

    assert answer.status_code == 403
    assert current_decisions(matched.ledger) == {}


async def test_a_pair_that_does_not_exist_is_not_found(matched: Any) -> None:
    await matched.sign_in("operate")

    assert (await matched.client.get(f"{PAGE}/pairs/0000000000")).status_code == 404


async def test_clusters_are_previewed_and_published(matched: Any) -> None:
    await matched.sign_in("operate")
    token = {"csrf": await matched.csrf()}
    await matched.client.post(f"{PAGE}/pairs/{ID}", data={**token, "judgement": "positive"})
    journal = Journal(matched.context.data / "journal")

    preview = await matched.page(f"{PAGE}/publish")
    before = journal.head
    published = await matched.client.post(f"{PAGE}/publish", data=token)
    after = await matched.page(f"{PAGE}/publish")
    journal.refresh()

    assert "cluster/initiative/north/a%2F1" in preview
    assert before is None
    assert published.status_code == 303
    assert journal.head is not None
    assert "Nothing: the published clusters" in after
    assert "1 new" in await matched.page("/admin/page/audit-log")


async def test_statuses_can_be_listed(matched: Any) -> None:
    await matched.sign_in("operate")
    await matched.send(f"{PAGE}/pairs/{ID}", {"judgement": "negative"})

    decided = await matched.page(f"{PAGE}?status=decided")
    waiting = await matched.page(f"{PAGE}?status=unknown&after=-3")

    assert f"{PAGE}/pairs/{ID}" in decided
    assert f"{PAGE}/pairs/{ID}" not in waiting
    assert len(classify_stored(matched.ledger)[1]) == 1


@pytest.mark.parametrize("language", [tag for tag in LANGUAGES if tag != "en"])
async def test_the_pages_are_in_six_languages(matched: Any, language: str) -> None:
    await matched.sign_in("operate")

    pages = [
        await matched.page(path, headers={"Accept-Language": language})
        for path in (PAGE, f"{PAGE}/pairs/{ID}", f"{PAGE}/publish")
    ]

    for english in (
        "Duplicates",
        "Are these one thing?",
        "What publishing would change",
        "Both records",
        "Take the decision back",
    ):
        assert not any(english in page for page in pages)


async def test_a_rule_is_previewed_and_decides_the_pairs_shown(matched: Any) -> None:
    await matched.sign_in("operate")
    query = "kind=initiative&agree=country&most=13"

    page = await matched.page(f"{PAGE}/rule?{query}")
    form = {
        "csrf": await matched.csrf(), "rule": query, "count": "1", "judgement": "negative", "reason": "two clinics",
    }  # fmt: skip
    stale = await matched.client.post(f"{PAGE}/rule", data={**form, "count": "2"})
    undecided = current_decisions(matched.ledger)
    decided = await matched.client.post(f"{PAGE}/rule", data=form)

    assert f'href="{PAGE}/pairs/{ID}"' in page
    assert 'name="rule" value="kind=initiative&amp;agree=country&amp;most=13"' in page
    assert (stale.status_code, undecided) == (422, {})
    assert decided.status_code == 303
    assert [
        (item.pair, item.judgement, item.reason)
        for item in current_decisions(matched.ledger).values()
    ] == [(PAIR, Judgement.NEGATIVE, "two clinics")]


@pytest.mark.parametrize("query", ["kind=initiative", "agree=colour", "least=many"])
async def test_a_rule_without_a_condition_is_refused(matched: Any, query: str) -> None:
    await matched.sign_in("operate")
    form = {
        "csrf": await matched.csrf(), "rule": query, "count": "1", "judgement": "positive", "reason": "all",
    }  # fmt: skip

    assert (await matched.client.get(f"{PAGE}/rule?{query}")).status_code == 422
    assert (await matched.client.post(f"{PAGE}/rule", data=form)).status_code == 422
    assert current_decisions(matched.ledger) == {}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_of_a_rule_is_in_six_languages(matched: Any, language: str) -> None:
    await matched.sign_in("read")

    page = await matched.page(f"{PAGE}/rule?agree=name&lang={language}")

    assert f'lang="{language}"' in page
    assert ("Pairs that the rule covers" in page) == (language == "en")
    assert 'name="rule"' not in page  # of an operator
