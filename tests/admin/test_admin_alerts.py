"""The page of alerts: open alerts, rules, silences and messages, and its forms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from clocks import NOON

from harvesters.ledger.outbox import Message
from harvesters.notifications.rules import EXAMPLE, FILE, load_rules
from harvesters.reasons import Reason

from .conftest import HOSTILE, World

PAGE = "/admin/page/alerts"


async def post(world: World, path: str, **form: str) -> httpx.Response:
    return await world.send(f"{PAGE}/{path}", {**form})


async def test_rules_are_saved_by_an_administrator_and_checked_first(world: Any) -> None:
    await world.sign_in("admin")

    wrong = await post(world, "rules", text='[[rule]]\nname = "x"\nwhen = "often"\n')
    saved = await post(world, "rules", text=EXAMPLE)
    page = await world.page(PAGE)

    assert (wrong.status_code, saved.status_code) == (422, 303)
    assert all(fault in wrong.text for fault in ("use one of plan_waits", "name who is notified"))
    assert [rule.name for rule in load_rules(world.context.data)] == ["waiting", "failing"]
    assert "3 or more runs failed one after the other" in page
    assert "saved the rules of alerts" in await world.page("/admin/page/audit-log")


async def test_faults_of_rules_are_in_the_language_of_the_page(world: Any) -> None:
    await world.sign_in("admin")
    world.client.headers["Accept-Language"] = "es"

    wrong = await post(world, "rules", text='[[rule]]\nname = "x"\nwhen = "late"\nlimit = -1\n')

    assert wrong.status_code == 422
    assert (
        "alerts.toml: la regla &#39;x&#39;: limit vale -1; escriba un número a partir de 0"
        in wrong.text
    )
    assert "diga a quién se avisa" in wrong.text


async def test_rules_that_another_person_changed_are_not_overwritten(world: Any) -> None:
    await world.sign_in("admin")
    (world.context.data / FILE).write_text(EXAMPLE, encoding="utf-8")

    answer = await post(world, "rules", text="", before="")

    assert answer.status_code == 409
    assert (world.context.data / FILE).read_text(encoding="utf-8") == EXAMPLE


@pytest.mark.parametrize(
    ("scope", "path"), [("operate", "rules"), ("read", "silences"), ("read", "test")]
)
async def test_a_form_of_alerts_wants_its_scope(world: Any, scope: str, path: str) -> None:
    await world.sign_in(scope)

    assert (await post(world, path)).status_code == 403


async def test_an_open_alert_is_silenced_and_the_silence_ended(world: Any) -> None:
    world.ledger.outbox.open_alert(
        "waiting", "projects", NOON, Reason("alert_late", {"source": "projects"})
    )
    await world.sign_in("operate")

    before = await world.page(PAGE)
    created = await post(
        world, "silences", rule="waiting", source="projects", hours="5", reason="maintenance"
    )
    (silence,) = world.ledger.outbox.silences(NOON)
    ended = await post(world, f"silences/{silence.id}/end")
    again = await post(world, f"silences/{silence.id}/end")

    assert "no successful run since the last one was due" in before
    assert silence.until == NOON + timedelta(hours=5)
    assert (created.status_code, ended.status_code, again.status_code) == (303, 303, 404)
    assert world.ledger.outbox.silences(NOON) == []


@pytest.mark.parametrize("hours", ["0", "", "745", "-1", "1e3", "9" * 40])
async def test_a_silence_of_no_hours_or_too_many_is_refused(world: Any, hours: str) -> None:
    await world.sign_in("operate")

    assert (await post(world, "silences", hours=hours)).status_code == 422


async def test_a_test_message_goes_to_every_address_of_its_rule(world: Any) -> None:
    (world.context.data / FILE).write_text(EXAMPLE, encoding="utf-8")
    await world.sign_in("operate")

    sent = await post(world, "test", rule="waiting")
    unknown = await post(world, "test", rule="none")

    (queued,) = world.ledger.outbox.messages()
    assert (sent.status_code, unknown.status_code) == (303, 404)
    assert queued.message.address == "operators@example.org"
    assert "a test message, sent by a person who may operate" in queued.message.text


async def test_an_undelivered_message_is_sent_again_and_its_error_shown(world: Any) -> None:
    world.ledger.outbox.queue_messages(
        [Message("mail", "ops@example.org", "alert", HOSTILE, HOSTILE)], NOON
    )
    world.ledger.outbox.claim_messages(NOON, NOON, 1)
    world.ledger.outbox.settle_message(1, error=HOSTILE)
    await world.sign_in("operate")

    page = await world.page(PAGE)
    again = await post(world, "messages/1/retry")
    unknown = await post(world, "messages/7/retry")

    assert (again.status_code, unknown.status_code) == (303, 404)
    assert world.ledger.outbox.messages()[0].due == NOON
    assert "<script>" not in page
    assert "\u202e" not in page


async def test_rules_with_faults_are_shown_as_they_are(world: Any) -> None:
    (world.context.data / FILE).write_text(f"# {HOSTILE}\n[[rule]", encoding="utf-8")
    await world.sign_in("admin")

    page = await world.client.get(PAGE)

    assert page.status_code == 200
    assert f"{FILE}: " in page.text
    assert "<script>" not in page.text
