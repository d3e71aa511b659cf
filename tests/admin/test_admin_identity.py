from __future__ import annotations

from typing import Any

import pytest

from harvesters.matching.clusters import classify_stored
from harvesters.matching.match import (
    Judgement,
    current_decisions,
    decision_history,
    pair_id,
    read_entities,
    store_pairs,
)
from harvesters.matching.scoring import Feature, Score
from journal.journal import Journal
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris

from .conftest import HOSTILE, store_record

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
def matched(operator: Any) -> Any:
    with operator.ledger.transaction() as connection:
        for number, (source, key, title, start) in enumerate(RECORDS):
            more: dict[str, Any] = {"countries": (KENYA,), "parties": LEAD, "start": start}
            record = Initiative(key=key, titles=(Text(title, "en"),), **more)
            store_record(connection, number, record, source)
    name = Feature("name", 7.4, "telemedicine | telemedicine <i>")
    score = Score((name, Feature("country", 2.0, "1 of 1")))
    with read_entities(operator.ledger, IRIS) as entities:
        store_pairs(operator.ledger, [(PAIR, score)], entities)
    return operator


async def test_the_queue_lists_pairs_and_the_pair_has_both_sides(matched: Any) -> None:
    await matched.sign_in("read")

    queue, page = await matched.page(PAGE), await matched.page(f"{PAGE}/pairs/{ID}")
    inbox, rule = await matched.page("/admin/"), await matched.page(f"{PAGE}/rule?agree=name")
    missing = await matched.client.get(f"{PAGE}/pairs/0000000000")

    assert f'href="{PAGE}/pairs/{ID}"' in queue
    assert f'<a href="{PAGE}" class="waiting">Duplicates <bdi>1</bdi></a>' in inbox
    assert "<i>" not in queue + page
    assert "<mark>Telemedicine for the clinics of Marsabit</mark>" in page
    assert "Kenya" in page
    assert "the name" in page
    assert "Decide, and show the next pair" not in page  # a button for operators only
    assert "Pairs that the rule covers" in rule
    assert 'name="rule"' not in rule  # a field for operators only
    assert missing.status_code == 404


async def test_a_decision_is_stored_with_its_author_and_taken_back(matched: Any) -> None:
    path, reason = f"{PAGE}/pairs/{ID}", f"one {HOSTILE}"

    decided = await matched.send(path, {"judgement": "positive", "reason": reason})
    next_page = await matched.client.get(f"{PAGE}/next")
    page = await matched.page(path)
    current = current_decisions(matched.ledger)[PAIR]
    undone = await matched.send(path, {"judgement": "undo", "reason": "a slip"})
    again = await matched.send(path, {"judgement": "undo"})

    assert (decided.status_code, decided.headers["location"]) == (303, f"{PAGE}/next")
    assert next_page.headers["location"] == PAGE  # no other pair waits
    assert current.judgement == Judgement.POSITIVE
    assert current.who == matched.keys["operate"].display_name
    assert "Withdraw the decision" in page
    assert "<script>alert" not in page
    assert (undone.status_code, again.status_code) == (303, 404)
    assert current_decisions(matched.ledger) == {}
    assert [item.reason for item in decision_history(matched.ledger)] == [reason, "a slip"]
    log = await matched.page("/admin/page/audit-log")
    assert "decided whether two records are one thing" in log


@pytest.mark.parametrize(
    ("who", "path", "form", "status"),
    [("operate", "pairs", {"judgement": "maybe"}, 422), ("operate", "pairs", {}, 422),
     ("operate", "pairs", {"judgement": "positive", "reason": "x" * 2001}, 422), ("read", "pairs", {"judgement": "positive"}, 403),
     ("read", "publish", {}, 403)],
    ids=["another word", "nothing", "a long reason", "no operator", "no operator publishes"],
)  # fmt: skip
async def test_what_is_no_decision_of_an_operator_is_refused(
    matched: Any, who: str, path: str, form: dict[str, str], status: int
) -> None:
    await matched.sign_in(who)

    answer = await matched.send(f"{PAGE}/pairs/{ID}" if path == "pairs" else f"{PAGE}/{path}", form)

    assert answer.status_code == status
    assert current_decisions(matched.ledger) == {}


async def test_clusters_are_previewed_and_published(matched: Any) -> None:
    await matched.send(f"{PAGE}/pairs/{ID}", {"judgement": "positive"})
    journal = Journal(matched.context.data / "journal")

    preview = await matched.page(f"{PAGE}/publish")
    before = journal.head
    published = await matched.send(f"{PAGE}/publish")
    after = await matched.page(f"{PAGE}/publish")
    journal.refresh()

    assert "cluster/initiative/north/a%2F1" in preview
    assert before is None
    assert published.status_code == 303
    assert journal.head is not None
    assert "Nothing: the published clusters" in after
    assert "1 new" in await matched.page("/admin/page/audit-log")


async def test_statuses_can_be_listed(matched: Any) -> None:
    await matched.send(f"{PAGE}/pairs/{ID}", {"judgement": "negative"})

    decided = await matched.page(f"{PAGE}?status=decided")
    waiting = await matched.page(f"{PAGE}?status=unknown&after=-3")

    assert f"{PAGE}/pairs/{ID}" in decided
    assert f"{PAGE}/pairs/{ID}" not in waiting
    assert len(classify_stored(matched.ledger)[0]) == 1


async def test_a_rule_is_previewed_and_decides_the_pairs_shown(matched: Any) -> None:
    query = "kind=initiative&agree=country&most=13"
    form = {"rule": query, "count": "1", "judgement": "negative", "reason": "two clinics"}

    page = await matched.page(f"{PAGE}/rule?{query}")
    stale = await matched.send(f"{PAGE}/rule", {**form, "count": "2"})
    undecided = current_decisions(matched.ledger)
    decided = await matched.send(f"{PAGE}/rule", form)

    assert f'href="{PAGE}/pairs/{ID}"' in page
    assert 'name="rule" value="kind=initiative&amp;agree=country&amp;most=13"' in page
    assert (stale.status_code, undecided, decided.status_code) == (422, {}, 303)
    [item] = current_decisions(matched.ledger).values()
    assert (item.pair, item.judgement, item.reason) == (PAIR, Judgement.NEGATIVE, "two clinics")


@pytest.mark.parametrize("query", ["kind=initiative", "agree=colour", "least=many"])
async def test_a_rule_without_a_condition_is_refused(matched: Any, query: str) -> None:
    form = {"rule": query, "count": "1", "judgement": "positive", "reason": "all"}

    assert (await matched.client.get(f"{PAGE}/rule?{query}")).status_code == 422
    assert (await matched.send(f"{PAGE}/rule", form)).status_code == 422
    assert current_decisions(matched.ledger) == {}
