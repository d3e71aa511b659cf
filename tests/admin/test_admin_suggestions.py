from __future__ import annotations

from typing import Any

import pytest

from harvesters.source import decision_table, load, read_decision_table
from vocab.initiative import Basis, Claim, Initiative, Text
from vocab.lookup import SDG

from .conftest import HOSTILE, store_record

PAGE = "/admin/page/suggestions"
FORM = {"source": "projects", "record": "p1", "concept": "sdg:5", "decision": "refused"}


@pytest.fixture
def suggested(operator: Any) -> Any:
    how: dict[str, Any] = {"method": "mention", "method_version": "1"}
    with operator.ledger.transaction() as connection:
        for number, (goal, confidence, words) in enumerate(((4, 0.8, HOSTILE), (5, 0.99, "SDG 5"))):
            claim = Claim(f"{SDG}{goal}", Basis.SUGGESTED, words, confidence, **how)
            record = Initiative(key=f"p{number}", titles=(Text("A project", "en"),), goals=(claim,))
            store_record(connection, number, record)
    return operator


async def test_suggestions_are_listed_the_surest_first_and_escaped(suggested: Any) -> None:
    definition = suggested.context.source_dir / "projects.toml"
    definition.write_text('suggest = "mentions"\n' + definition.read_text())

    page, inbox = await suggested.page(PAGE), await suggested.page("/admin/")

    assert f'<a href="{PAGE}" class="waiting">Suggested topics <bdi>2</bdi></a>' in inbox
    assert page.index('value="sdg:5"') < page.index('value="sdg:4"')
    assert "<script>alert" not in page


@pytest.mark.parametrize("decision", ["confirmed", "refused"])
async def test_a_decision_is_written_with_its_author_and_leaves_the_queue(
    suggested: Any, decision: str
) -> None:
    stored = await suggested.send(PAGE, {**FORM, "decision": decision, "comment": "read"})
    page = await suggested.page(f"{PAGE}?source=projects")
    (item,), faults = read_decision_table(decision_table(suggested.context.source_dir, "projects"))

    place = stored.status_code, stored.headers["location"]
    name = suggested.keys["operate"].display_name
    assert (place, faults) == ((303, f"{PAGE}?source=projects"), [])
    assert (item.key, item.concept, item.decision, item.author, item.comment) == (
        "p1", "sdg:5", decision, name, "read",
    )  # fmt: skip
    assert 'name="concept" value="sdg:5"' not in page
    assert load(suggested.context.source_dir / "projects.toml").decisions == (item,)
    assert "decided about a suggested topic of" in await suggested.page("/admin/page/audit-log")


@pytest.mark.parametrize(
    ("who", "change", "status"),
    [("operate", {"concept": "sdg:99"}, 422), ("operate", {"decision": "maybe"}, 422), ("operate", {"record": ""}, 422),
     ("operate", {"comment": "x" * 2001}, 422), ("operate", {"source": "nowhere"}, 404), ("read", {}, 403)],
    ids=["unknown concept", "unknown decision", "no record", "long comment", "unknown source", "no operator"],
)  # fmt: skip
async def test_what_is_wrong_is_refused(
    suggested: Any, who: str, change: dict[str, str], status: int
) -> None:
    await suggested.sign_in(who)

    assert (await suggested.send(PAGE, FORM | change)).status_code == status
    assert not decision_table(suggested.context.source_dir, "projects").exists()
    assert ('<button name="decision"' in await suggested.page(PAGE)) == (who == "operate")
