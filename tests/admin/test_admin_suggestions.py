"""The admin page of suggested topics: undecided ones, the surest first, a form to confirm or refuse
one; without scripts.
"""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.source import decision_table, load, read_decision_table
from languages.request_locale import LANGUAGES
from vocab.goals import SDG
from vocab.initiative import Basis, Claim, Initiative, Text

from .conftest import HOSTILE, store_record

PAGE = "/admin/page/suggestions"


@pytest.fixture
def suggested(world: Any) -> Any:
    """Return the world with two records for which goals are suggested."""
    with world.ledger.transaction() as connection:
        for number, (goal, confidence, words) in enumerate(((4, 0.8, HOSTILE), (5, 0.99, "SDG 5"))):
            claim = Claim(
                f"{SDG}{goal}",
                Basis.SUGGESTED,
                words,
                confidence,
                method="mention",
                method_version="1",
            )
            resource = Initiative(
                key=f"p{number}", titles=(Text("A project", "en"),), goals=(claim,)
            )
            store_record(connection, number, resource)
    return world


async def test_suggestions_are_listed_the_surest_first_and_escaped(suggested: Any) -> None:
    await suggested.sign_in("operate")

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
    await suggested.sign_in("operate")
    form = {
        "csrf": await suggested.csrf(), "source": "projects", "record": "p1", "concept": "sdg:5", "decision": decision, "comment": "read",
    }  # fmt: skip

    stored = await suggested.client.post(PAGE, data=form)
    page = await suggested.page(f"{PAGE}?source=projects")
    (item,), faults = read_decision_table(decision_table(suggested.context.source_dir, "projects"))

    assert (stored.status_code, stored.headers["location"], faults) == (
        303,
        f"{PAGE}?source=projects",
        [],
    )
    name = suggested.keys["operate"].display_name
    assert (item.key, item.concept, item.decision, item.author, item.comment) == (
        "p1", "sdg:5", decision, name, "read",
    )  # fmt: skip
    assert 'name="concept" value="sdg:5"' not in page
    assert load(suggested.context.source_dir / "projects.toml").decisions == (item,)
    assert "decided about a suggested topic of" in await suggested.page("/admin/page/audit-log")


@pytest.mark.parametrize(
    ("form", "status"),
    [({"record": "p1", "concept": "sdg:99", "decision": "confirmed"}, 422),
     ({"record": "p1", "concept": "sdg:5", "decision": "maybe"}, 422), ({"record": "", "concept": "sdg:5", "decision": "refused"}, 422),
     ({"record": "p1", "concept": "sdg:5", "decision": "refused", "comment": "x" * 2001}, 422),
     ({"record": "p1", "concept": "sdg:5", "decision": "refused", "source": "nowhere"}, 404)],
    ids=["unknown concept", "unknown decision", "no record", "long comment", "unknown source"],
)  # fmt: skip
async def test_what_is_wrong_is_refused(suggested: Any, form: dict[str, str], status: int) -> None:
    await suggested.sign_in("operate")

    answer = await suggested.send(PAGE, {"source": "projects", **form})

    assert answer.status_code == status
    assert not decision_table(suggested.context.source_dir, "projects").exists()


async def test_deciding_wants_an_operator(suggested: Any) -> None:
    await suggested.sign_in("read")
    form = {
        "csrf": await suggested.csrf(), "source": "projects", "record": "p1", "concept": "sdg:5", "decision": "refused",
    }  # fmt: skip

    answer = await suggested.client.post(PAGE, data=form)

    assert answer.status_code == 403
    assert '<button name="decision"' not in await suggested.page(PAGE)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_is_served_in_each_language(suggested: Any, language: str) -> None:
    await suggested.sign_in("operate")

    answer = await suggested.client.get(PAGE, headers={"Accept-Language": language})

    assert answer.status_code == 200
    assert ("Suggested topics" in answer.text) == (language == "en")
