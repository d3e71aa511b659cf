"""The admin API executes actions once, writes them to the audit log, and reports impossible ones."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from harvesters.admin.access import key_store
from harvesters.ledger.models import Outcome, State
from journal.journal import Journal

from .conftest import HOSTILE, bearer, staged


def operator(world: Any) -> dict[str, str]:
    return bearer(world.tokens["operate"])


async def test_an_approved_plan_is_in_the_journal_and_written_down(world: Any) -> None:
    run = world.add_held_plan((staged("a"), staged("b")))
    world.clock.advance(timedelta(minutes=5))

    answer = await world.client.post(
        f"/admin/plans/{run.id}/approve", json={"note": "looked at it"}, headers=operator(world)
    )

    entry = Journal(world.context.data / "journal").head
    acts = (await world.client.get("/admin/audit-log", headers=operator(world))).json()["items"]
    assert (answer.status_code, answer.json()["state"]) == (200, "committed")
    assert entry is not None
    assert entry.run == run.id
    assert acts == [
        {
            "when": "2026-03-01T12:05:00Z", "who": world.keys["operate"].display_name, "what": "approved", "source": "projects",
            "run": run.id, "note": "looked at it",
        }
    ]  # fmt: skip


async def test_a_plan_is_decided_once(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))

    answers = await asyncio.gather(
        *(
            world.client.post(f"/admin/plans/{run.id}/{action}", headers=operator(world))
            for action in ("approve", "approve", "reject", "reject")
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(world.ledger.operators.audit_entries()) == 1
    assert {answer.headers["Content-Type"] for answer in answers if answer.status_code == 409} == {
        "application/problem+json"
    }


async def test_a_plan_that_another_run_replaced_is_no_longer_open(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))
    world.ledger.save(replace(run, state=State.SUPERSEDED))

    answer = await world.client.post(f"/admin/plans/{run.id}/approve", headers=operator(world))

    assert answer.status_code == 409
    assert "superseded" in answer.json()["detail"]


async def test_a_rejected_plan_changes_nothing(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))

    answer = await world.client.post(
        f"/admin/plans/{run.id}/reject", json={"reason": "half is missing"}, headers=operator(world)
    )

    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    assert Journal(world.context.data / "journal").head is None
    assert [(act.what, act.note) for act in world.ledger.operators.audit_entries()] == [
        ("rejected", "half is missing")
    ]


async def test_an_approval_can_let_a_later_run_pass_once(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))
    override = {"limit": "vanished", "value": 0.6, "until": "2026-03-08T00:00:00+01:00"}

    await world.client.post(
        f"/admin/plans/{run.id}/approve", json={"override": override}, headers=operator(world)
    )

    result = (await world.client.get(f"/admin/plans/{run.id}", headers=operator(world))).json()[
        "overrides"
    ]
    assert [
        (element["limit"], element["value"], element["until"], element["used"])
        for element in result
    ] == [("vanished", 0.6, "2026-03-07T23:00:00Z", None)]


async def test_an_override_that_cannot_be_is_refused_and_nothing_is_published(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))
    good = {"limit": "vanished", "value": 0.6, "until": "2026-03-08T00:00:00Z"}
    wrong: list[dict[str, Any]] = [
        {"limit": "misses"}, {"limit": "nothing"}, {"value": 60}, {"value": -0.1}, {"value": "much"}, {"until": "2026-02-01T00:00:00Z"},
        {"until": "2026-03-08T00:00:00"}, {"until": "2027-03-08T00:00:00Z"}, {"until": "tomorrow"}, {"more": 1},
    ]  # fmt: skip

    address = f"/admin/plans/{run.id}/approve"
    answers = [
        await world.client.post(
            address, json={"override": {**good, **part}}, headers=operator(world)
        )
        for part in wrong
    ]

    assert [answer.status_code for answer in answers] == [422] * len(wrong)
    assert world.ledger.run(run.id).state is State.HELD


async def test_a_plan_states_its_limits_its_counts_and_why_it_waits(world: Any) -> None:
    run = world.add_held_plan(
        (staged("a"), staged("b", Outcome.WITHHELD, reason="it has no title")),
        reason="9 of 10 vanished",
    )

    listed = (await world.client.get("/admin/plans", headers=bearer(world.tokens["read"]))).json()
    body = (
        await world.client.get(f"/admin/plans/{run.id}", headers=bearer(world.tokens["read"]))
    ).json()

    assert [item["id"] for item in listed["items"]] == [run.id]
    assert (body["open"], body["limits"]["vanished"]) == (True, 0.1)
    assert body["run"]["reason"].startswith(
        "9 of 10 vanished; review it with `stocktake plans show"
    )
    assert [reason["code"] for reason in body["run"]["reasons"]] == ["other", "review"]
    assert {name: count for name, count in body["outcomes"].items() if count} == {
        "new": 1,
        "withheld": 1,
    }


async def test_every_record_behind_a_number_is_listed_once_over_the_pages(world: Any) -> None:
    staged_records = tuple(
        staged(f"k{number}", Outcome.UNCHANGED if number % 3 else Outcome.NEW)
        for number in range(25)
    )
    run = world.add_held_plan(staged_records)

    results = {
        kind: await _all(f"/admin/runs/{run.id}/records?outcome={kind}&limit=4", world)
        for kind in ("new", "unchanged")
    }

    assert results["new"] == [
        element.key for element in staged_records if element.outcome is Outcome.NEW
    ]
    assert results["unchanged"] == [
        element.key for element in staged_records if element.outcome is Outcome.UNCHANGED
    ]


async def _all(address: str, world: Any) -> list[str]:
    keys: list[str] = []
    url: httpx.URL | None = httpx.URL(f"http://admin.example{address}")
    while url:
        answer = await world.client.get(url, headers=bearer(world.tokens["read"]))
        keys += [item["key"] for item in answer.json()["items"]]
        url = url.join(answer.links["next"]["url"]) if "next" in answer.links else None
    return keys


async def test_a_changed_record_states_what_goes_and_what_comes(world: Any) -> None:
    first = world.add_held_plan((staged("a", title="Old name"),))
    await world.client.post(f"/admin/plans/{first.id}/approve", headers=operator(world))
    world.clock.advance(timedelta(days=1))
    second = world.add_held_plan((staged("a", Outcome.CHANGED, title="New name"),))

    (output,) = (
        await world.client.get(
            f"/admin/plans/{second.id}/records?outcome=changed", headers=operator(world)
        )
    ).json()["items"]

    assert output["title"] == "New name"
    assert ["Old name" in line for line in output["removed"]] == [True]
    assert ["New name" in line for line in output["added"]] == [True]


async def test_a_plan_states_the_very_statements_that_its_approval_writes(world: Any) -> None:
    first = world.add_held_plan((staged("a"), staged("b"), staged("c")))
    await world.client.post(f"/admin/plans/{first.id}/approve", headers=operator(world))
    world.clock.advance(timedelta(days=1))
    lost = staged("a", Outcome.LOST, reason="no longer met")
    vanished = staged("b", Outcome.VANISHED)
    staged_records = (lost, vanished, staged("c", Outcome.CHANGED, title="New"))
    second = world.add_held_plan(staged_records)

    results = set()
    for element in staged_records:
        address = f"/admin/plans/{second.id}/records?outcome={element.outcome.value}"
        (record,) = (await world.client.get(address, headers=operator(world))).json()["items"]
        results |= {
            f"{sign} {line}"
            for sign, name in (("D", "removed"), ("A", "added"))
            for line in record[name]
        }
    await world.client.post(f"/admin/plans/{second.id}/approve", headers=operator(world))

    entry = Journal(world.context.data / "journal").head
    assert entry is not None
    written = {
        row.rpartition(" <")[0]
        for row in entry.rows()
        if "/record/projects/" in row.rpartition(" <")[2]
    }
    assert results == written
    assert any("prov#invalidatedAtTime" in line for line in results)


async def test_lists_go_on_where_the_last_page_ended(world: Any) -> None:
    ids = []
    for _ in range(5):
        ids.append(world.add_held_plan((staged("a"),)).id)
        await world.client.post(f"/admin/plans/{ids[-1]}/reject", headers=operator(world))

    runs = await _walk("/admin/runs?limit=2", world)
    acts = await _walk("/admin/audit-log?limit=2", world)

    assert [item["id"] for item in runs] == ids[::-1]
    assert [item["run"] for item in acts] == ids[::-1]


async def _walk(address: str, world: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        body = (
            await world.client.get(
                address + (f"&after={after}" if after else ""), headers=bearer(world.tokens["read"])
            )
        ).json()
        items, after = items + body["items"], body["next"]
    return items


@pytest.mark.parametrize(
    "address",
    ["/runs?limit=0", "/runs?limit=501", "/runs?state=odd", "/audit-log?after=x", "/audit-log?limit=-1"],
)  # fmt: skip
async def test_a_list_that_cannot_be_is_422(world: Any, address: str) -> None:
    answer = await world.client.get(f"/admin{address}", headers=bearer(world.tokens["read"]))

    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")


async def test_a_requested_run_has_a_url_with_its_result(world: Any) -> None:
    response = await world.client.post(
        "/admin/sources/projects/runs", json={"full": True}, headers=operator(world)
    )
    number = response.json()["id"]

    waiting = (await world.client.get(response.headers["Location"], headers=operator(world))).json()
    world.ledger.operators.claim(number, world.clock.now())
    world.ledger.operators.complete_request(number, "projects.1")
    request_state = (
        await world.client.get(response.headers["Location"], headers=operator(world))
    ).json()

    assert response.status_code == 202
    assert (waiting["full"], waiting["claimed"], waiting["by"]) == (
        True,
        None,
        world.keys["operate"].display_name,
    )
    assert (request_state["claimed"], request_state["run"]) == (
        "2026-03-01T12:00:00Z",
        "projects.1",
    )


async def test_a_source_is_held_and_released(world: Any) -> None:
    on_hold = await world.client.put(
        "/admin/sources/projects/hold", json={"reason": HOSTILE}, headers=operator(world)
    )
    released = await world.client.delete("/admin/sources/projects/hold", headers=operator(world))
    again = await world.client.delete("/admin/sources/projects/hold", headers=operator(world))

    assert on_hold.json()["hold"] == {
        "since": "2026-03-01T12:00:00Z",
        "by": world.keys["operate"].display_name,
        "reason": HOSTILE,
    }
    assert (on_hold.json()["freshness"], released.json()["hold"], again.status_code) == (
        "frozen",
        None,
        409,
    )
    assert [act.what for act in world.ledger.operators.audit_entries()] == ["released", "held"]


async def test_a_source_without_a_definition_is_404_and_a_disabled_one_is_not_run(
    world: Any,
) -> None:
    definition = world.context.source_dir / "projects.toml"
    definition.write_text(
        "enabled = false\n" + definition.read_text(encoding="utf-8"), encoding="utf-8"
    )

    disabled = await world.client.post("/admin/sources/projects/runs", headers=operator(world))
    nowhere = await world.client.post("/admin/sources/..%2fetc/runs", headers=operator(world))

    assert (disabled.status_code, nowhere.status_code) == (422, 404)
    assert world.ledger.operators.waiting_requests() == []


async def test_a_key_that_was_made_opens_and_is_shown_once(world: Any) -> None:
    admin = bearer(world.tokens["admin"])
    created = await world.client.post(
        "/admin/keys", json={"name": "Ada", "scope": "read", "days": 1}, headers=admin
    )

    opened = await world.client.get("/admin/runs", headers=bearer(created.json()["key"]))
    read = await world.client.get(created.headers["Location"], headers=admin)
    ended = await world.client.delete(created.headers["Location"], headers=admin)

    assert (created.status_code, opened.status_code) == (201, 200)
    assert created.json()["key"] not in read.text + ended.text
    assert (read.json()["state"], ended.json()["state"]) == ("good", "revoked")
    assert [act.what for act in world.ledger.operators.audit_entries()] == [
        "key revoked",
        "key created",
    ]


async def test_no_key_is_in_a_log_an_act_or_an_error(world: Any) -> None:
    token = world.tokens["admin"]
    secret = token[-43:]

    with capture_logs() as logs:
        answers = [
            await world.client.get(f"/admin/keys/{token}", headers=bearer(token)),
            await world.client.get(f"/admin/{token}", headers=bearer(token)),
            await world.client.post("/admin/keys", json={"name": token, "scope": token, "days": token}, headers=bearer(token)),
            await world.client.post("/admin/keys", json={"name": "Ada", "scope": token}, headers=bearer(token)),
            await world.client.get("/admin/runs", params={"state": token, "key": token}, headers=bearer(token)),
            await world.client.get("/admin/runs", headers=bearer(token[:-1])),
            await world.client.post("/admin/sign-in", data={"key": token[:-1]}),
        ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [404, 404, 422, 422, 422, 401, 401]
    assert [answer.text for answer in answers if secret[:-1] in answer.text] == []
    assert len(logs) == len(answers)
    assert secret[:-1] not in repr(logs)
    assert secret not in repr(world.ledger.operators.audit_entries())


async def test_what_was_refused_is_logged_with_who_and_from_where(world: Any) -> None:
    with capture_logs() as logs:
        await world.client.post(
            "/admin/sources/projects/runs", headers=bearer(world.tokens["read"])
        )

    (output,) = logs
    assert (output["event"], output["status"], output["route"]) == (
        "refused",
        403,
        "/sources/{name}/runs",
    )
    assert (output["who"], output["client"], output["log_level"]) == (
        world.keys["read"].display_name,
        "127.0.0.1",
        "warning",
    )


async def test_a_ledger_that_another_process_holds_is_503_soon(world: Any, tmp_path: Path) -> None:
    world.context.close()
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    refused = await world.client.get("/admin/sources", headers=operator(world))
    other.execute("ROLLBACK")
    other.close()
    after = await world.client.get("/admin/sources", headers=operator(world))

    assert (refused.status_code, after.status_code) == (503, 200)


async def test_reading_goes_on_while_another_process_writes(world: Any, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    answer = await world.client.get("/admin/sources", headers=operator(world))
    other.execute("ROLLBACK")
    other.close()

    assert answer.status_code == 200
    assert key_store.get(world.ledger, world.keys["operate"].id).last_used is None


async def test_the_api_describes_itself_without_a_key(client: httpx.AsyncClient) -> None:
    body = (await client.get("/admin/openapi.json")).json()

    schemes = {
        name: (scheme["type"], scheme["scheme"])
        for name, scheme in body["components"]["securitySchemes"].items()
    }
    operations = [operation for path in body["paths"].values() for operation in path.values()]
    assert body["servers"] == [{"url": "/admin"}]
    assert schemes == {"key": ("http", "bearer")}
    assert [
        operation["operationId"]
        for operation in operations
        if operation.get("security") != [{"key": []}]
    ] == []
    assert all({"401", "403", "429"} <= set(operation["responses"]) for operation in operations)


async def test_a_run_that_would_supersede_a_waiting_plan_is_asked_for_by_the_plan_s_name(
    world: Any,
) -> None:
    plan = world.add_held_plan((staged("a"),))

    unnamed = await world.client.post("/admin/sources/projects/runs", headers=operator(world))
    other = await world.client.post(
        "/admin/sources/projects/runs", json={"supersede": "projects.9"}, headers=operator(world)
    )
    before = world.ledger.operators.run_requests()
    named = await world.client.post(
        "/admin/sources/projects/runs", json={"supersede": plan.id}, headers=operator(world)
    )

    assert (unnamed.status_code, other.status_code, before) == (409, 409, [])
    assert f"the plan {plan.id} awaits approval" in unnamed.json()["detail"]
    assert named.status_code == 202
    assert [act.note for act in world.ledger.operators.audit_entries()] == [f"supersedes {plan.id}"]
