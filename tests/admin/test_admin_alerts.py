from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import httpx
from clocks import NOON

from harvesters.ledger import outbox
from harvesters.ledger.models import Alert, Message
from harvesters.notifications.alerts import EXAMPLE, FILE, load_rules
from harvesters.reasons import Reason

from .conftest import HOSTILE, World

PAGE = "/admin/page/alerts"


async def post(world: World, path: str, **form: str) -> httpx.Response:
    return await world.send(f"{PAGE}/{path}", {**form})


async def test_rules_are_saved_by_an_administrator_and_checked_first(admin: Any) -> None:
    wrong = await post(admin, "rules", text='[[rule]]\nname = "x"\nwhen = "often"\n')
    saved = await post(admin, "rules", text=EXAMPLE)
    page = await admin.page(PAGE)
    admin.client.headers["Accept-Language"] = "es"
    spanish = await post(admin, "rules", text='[[rule]]\nname = "x"\nwhen = "late"\nlimit = -1\n')

    assert (wrong.status_code, saved.status_code, spanish.status_code) == (422, 303, 422)
    for fault in ("use one of plan_waits", "name who is notified"):
        assert fault in wrong.text
    for fault in ("regla 'x': limit vale -1; escriba un número a partir de 0", "diga a quién se"):
        assert fault in unescape(spanish.text)
    assert [rule.name for rule in load_rules(admin.context.data)] == ["waiting", "failing"]
    assert "3 or more runs failed one after the other" in page
    assert "guardó las reglas" in await admin.page("/admin/page/audit-log")


async def test_rules_that_another_person_changed_are_not_overwritten(admin: Any) -> None:
    (admin.context.data / FILE).write_text(EXAMPLE, encoding="utf-8")

    assert (await post(admin, "rules", text="", before="")).status_code == 409
    assert (admin.context.data / FILE).read_text(encoding="utf-8") == EXAMPLE


async def test_a_form_of_alerts_wants_its_scope(world: Any) -> None:
    for scope, path in (("operate", "rules"), ("read", "silences"), ("read", "test")):
        await world.sign_in(scope)

        assert (await post(world, path)).status_code == 403, (scope, path)


async def test_an_open_alert_is_silenced_and_the_silence_ended(operator: Any) -> None:
    late = Reason("alert_late", source="projects")
    operator.ledger.add(Alert(0, "waiting", "projects", NOON, late))
    form = {"rule": "waiting", "source": "projects", "hours": "5", "reason": "maintenance"}

    before = await operator.page(PAGE)
    created = await post(operator, "silences", **form)
    (silence,) = outbox.silences(operator.ledger, NOON)
    ended = await post(operator, f"silences/{silence.id}/end")
    again = await post(operator, f"silences/{silence.id}/end")

    assert "no successful run since the last one was due" in before
    assert silence.until == NOON + timedelta(hours=5)
    assert (created.status_code, ended.status_code, again.status_code) == (303, 303, 404)
    assert outbox.silences(operator.ledger, NOON) == []


async def test_a_silence_of_no_hours_or_too_many_is_refused(operator: Any) -> None:
    for hours in ("0", "", "745", "-1", "1e3", "9" * 40):
        assert (await post(operator, "silences", hours=hours)).status_code == 422, hours


async def test_a_test_message_goes_to_every_address_of_its_rule(operator: Any) -> None:
    (operator.context.data / FILE).write_text(EXAMPLE, encoding="utf-8")

    sent = await post(operator, "test", rule="waiting")
    unknown = await post(operator, "test", rule="none")

    (queued,) = outbox.messages(operator.ledger)
    assert (sent.status_code, unknown.status_code) == (303, 404)
    assert queued.address == "operators@example.org"
    assert "a test message, sent by a person who may operate" in queued.text


async def test_an_undelivered_message_is_sent_again_and_its_error_shown(operator: Any) -> None:
    outbox.queue_messages(
        operator.ledger, [Message("mail", "ops@example.org", "alert", HOSTILE, HOSTILE)], NOON
    )
    outbox.claim_messages(operator.ledger, NOON, NOON, 1)
    outbox.settle_message(operator.ledger, 1, error=HOSTILE)

    page = await operator.page(PAGE)
    again = await post(operator, "messages/1/retry")
    unknown = await post(operator, "messages/7/retry")

    assert (again.status_code, unknown.status_code) == (303, 404)
    assert outbox.messages(operator.ledger)[0].due == NOON
    assert "<script>" not in page
    assert "\u202e" not in page


async def test_rules_with_faults_are_shown_as_they_are(admin: Any) -> None:
    (admin.context.data / FILE).write_text(f"# {HOSTILE}\n[[rule]", encoding="utf-8")

    page = await admin.client.get(PAGE)

    assert page.status_code == 200
    assert f"{FILE}: " in page.text
    assert "<script>" not in page.text
