from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

from harvesters.admin.actions import get_key
from harvesters.ledger import operators
from harvesters.ledger.models import Outcome, State
from journal.journal import Journal

from .conftest import DEFINITION, HOSTILE, bearer, staged


async def test_an_approved_plan_is_in_the_journal_and_written_down(world: Any) -> None:
    run = world.add_held_plan((staged("a"), staged("b")))
    world.clock.advance(timedelta(minutes=5))

    answer = await world.api(f"/plans/{run.id}/approve", method="POST", note="looked at it")

    entry = Journal(world.context.data / "journal").head
    assert (answer.status_code, answer.json()["state"]) == (200, "committed")
    assert entry is not None
    assert entry.run == run.id
    assert (await world.api("/audit-log")).json()["items"] == [
        {
            "when": "2026-03-01T12:05:00Z", "who": world.keys["operate"].display_name, "what": "approved", "source": "projects",
            "run": run.id, "note": "looked at it",
        }
    ]  # fmt: skip


async def test_a_plan_is_decided_once_and_not_after_another_replaced_it(world: Any) -> None:
    run, replaced = world.add_held_plan((staged("a"),)), world.add_held_plan((staged("a"),))
    world.ledger.save(replace(replaced, state=State.SUPERSEDED))
    paths = [f"/plans/{run.id}/{action}" for action in ("approve", "approve", "reject", "reject")]

    answers = await asyncio.gather(*(world.api(path, method="POST") for path in paths))
    late = await world.api(f"/plans/{replaced.id}/approve", method="POST")

    good, *refused = sorted(answers, key=lambda answer: answer.status_code)
    assert (good.status_code, [answer.status_code for answer in refused]) == (200, [409] * 3)
    assert len(operators.audit_entries(world.ledger)) == 1
    types = {answer.headers["Content-Type"] for answer in refused}
    assert types == {"application/problem+json"}
    assert (late.status_code, "superseded" in late.json()["detail"]) == (409, True)


async def test_a_rejected_plan_changes_nothing(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))

    answer = await world.api(f"/plans/{run.id}/reject", method="POST", reason="half is missing")

    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    assert Journal(world.context.data / "journal").head is None
    [act] = operators.audit_entries(world.ledger)
    assert (act.what, act.note) == ("rejected", "half is missing")


async def test_an_approval_can_let_a_later_run_pass_once(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))
    override = {"limit": "vanished", "value": 0.6, "days": 6}

    await world.api(f"/plans/{run.id}/approve", method="POST", override=override)

    [result] = (await world.api(f"/plans/{run.id}")).json()["overrides"]
    known = [result[name] for name in ("limit", "value", "used")]
    assert known == ["vanished", 0.6, None]
    assert datetime.fromisoformat(result["until"]) == world.clock.now() + timedelta(days=6)


async def test_an_override_that_cannot_be_is_refused_and_nothing_is_published(world: Any) -> None:
    run = world.add_held_plan((staged("a"),))
    good = {"limit": "vanished", "value": 0.6, "days": 1}
    wrong: list[dict[str, Any]] = [
        {"limit": "misses"}, {"limit": "nothing"}, {"value": 60}, {"value": -0.1}, {"value": "much"}, {"days": 0},
        {"days": 32}, {"days": "tomorrow"}, {"more": 1},
    ]  # fmt: skip

    for part in wrong:
        answer = await world.api(
            f"/plans/{run.id}/approve", method="POST", override={**good, **part}
        )
        assert answer.status_code == 422, part
    assert world.ledger.run(run.id).state is State.HELD


async def test_a_plan_states_its_limits_its_counts_and_why_it_waits(world: Any) -> None:
    records = (staged("a"), staged("b", Outcome.WITHHELD, reason="it has no title"))
    run = world.add_held_plan(records, reason="9 of 10 vanished")

    listed = (await world.api("/plans", "read")).json()["items"]
    body = (await world.api(f"/plans/{run.id}", "read")).json()

    reason = "9 of 10 vanished; review it with `stocktake plans show"
    assert [item["id"] for item in listed] == [run.id]
    assert (body["open"], body["limits"]["vanished"]) == (True, 0.1)
    assert body["run"]["reason"].startswith(reason)
    assert [reason["code"] for reason in body["run"]["reasons"]] == ["other", "review"]
    counts = {name: count for name, count in body["outcomes"].items() if count}
    assert counts == {"new": 1, "withheld": 1}


async def test_every_record_behind_a_number_is_listed_once_over_the_pages(world: Any) -> None:
    staged_records = tuple(
        staged(f"k{number}", Outcome.UNCHANGED if number % 3 else Outcome.NEW)
        for number in range(25)
    )
    run = world.add_held_plan(staged_records)

    for outcome in (Outcome.NEW, Outcome.UNCHANGED):
        keys = list[str]()
        answer = await world.api(f"/runs/{run.id}/records?outcome={outcome.value}&limit=4", "read")
        while True:
            keys += [item["key"] for item in answer.json()["items"]]
            if "next" not in answer.links:
                break
            address = answer.url.join(answer.links["next"]["url"]).raw_path.decode()
            answer = await world.api(address.removeprefix("/admin"), "read")
        assert keys == [item.key for item in staged_records if item.outcome is outcome]


async def test_a_changed_record_states_what_goes_and_what_comes(world: Any) -> None:
    first = world.add_held_plan((staged("a", title="Old name"),))
    await world.api(f"/plans/{first.id}/approve", method="POST")
    world.clock.advance(timedelta(days=1))
    second = world.add_held_plan((staged("a", Outcome.CHANGED, title="New name"),))

    [output] = (await world.api(f"/plans/{second.id}/records?outcome=changed")).json()["items"]

    assert output["title"] == "New name"
    assert ["Old name" in line for line in output["removed"]] == [True]
    assert ["New name" in line for line in output["added"]] == [True]


async def test_a_plan_states_the_very_statements_that_its_approval_writes(world: Any) -> None:
    first = world.add_held_plan((staged("a"), staged("b"), staged("c")))
    await world.api(f"/plans/{first.id}/approve", method="POST")
    world.clock.advance(timedelta(days=1))
    lost = staged("a", Outcome.LOST, reason="no longer met")
    vanished = staged("b", Outcome.VANISHED)
    staged_records = (lost, vanished, staged("c", Outcome.CHANGED, title="New"))
    second = world.add_held_plan(staged_records)

    results = set[str]()
    for element in staged_records:
        address = f"/plans/{second.id}/records?outcome={element.outcome.value}"
        [record] = (await world.api(address)).json()["items"]
        results |= {f"D {line}" for line in record["removed"]}
        results |= {f"A {line}" for line in record["added"]}
    await world.api(f"/plans/{second.id}/approve", method="POST")

    entry = Journal(world.context.data / "journal").head
    assert entry is not None
    rows = (row.rpartition(" <") for row in entry.rows())
    assert results == {row for row, _, graph in rows if "/record/projects/" in graph}
    assert any("prov#invalidatedAtTime" in line for line in results)


async def test_lists_go_on_where_the_last_page_ended(world: Any) -> None:
    ids = []
    for _ in range(5):
        ids.append(world.add_held_plan((staged("a"),)).id)
        await world.api(f"/plans/{ids[-1]}/reject", method="POST")

    for address, name in (("/runs?limit=2", "id"), ("/audit-log?limit=2", "run")):
        items, after = list[dict[str, Any]](), ""
        while after is not None:
            body = (await world.api(address + after, "read")).json()
            items += body["items"]
            after = body["next"] and f"&after={body['next']}"
        assert [item[name] for item in items] == ids[::-1]


async def test_a_list_that_cannot_be_is_422(world: Any) -> None:
    for address in (
        "/runs?limit=0", "/runs?limit=501", "/runs?state=odd", "/audit-log?after=x", "/audit-log?limit=-1",
    ):  # fmt: skip
        answer = await world.api(address, "read")
        result = answer.status_code, answer.headers["Content-Type"]
        assert result == (422, "application/problem+json"), address


async def test_a_requested_run_has_a_url_with_its_result(world: Any) -> None:
    response = await world.api("/sources/projects/runs", method="POST", full=True)
    number, path = response.json()["id"], response.headers["Location"].removeprefix("/admin")

    waiting = (await world.api(path)).json()
    operators.claim(world.ledger, number, world.clock.now())
    operators.complete_request(world.ledger, number, "projects.1")
    done = (await world.api(path)).json()

    assert response.status_code == 202
    assert (waiting["full"], waiting["claimed"]) == (True, None)
    assert waiting["by"] == world.keys["operate"].display_name
    assert (done["claimed"], done["run"]) == ("2026-03-01T12:00:00Z", "projects.1")


async def test_a_source_is_held_and_released(world: Any) -> None:
    hold = "/sources/projects/hold"

    on_hold = (await world.api(hold, method="PUT", reason=HOSTILE)).json()
    released = (await world.api(hold, method="DELETE")).json()
    again = await world.api(hold, method="DELETE")

    by = world.keys["operate"].display_name
    assert on_hold["hold"] == {
        "source": "projects",
        "since": "2026-03-01T12:00:00Z",
        "by": by,
        "reason": HOSTILE,
    }
    assert (on_hold["freshness"], released["hold"], again.status_code) == ("frozen", None, 409)
    assert [act.what for act in operators.audit_entries(world.ledger)] == ["released", "held"]


async def test_a_source_without_a_definition_is_404_and_a_disabled_one_is_not_run(
    world: Any,
) -> None:
    definition = world.context.source_dir / "projects.toml"
    definition.write_text(f"enabled = false\n{DEFINITION}", encoding="utf-8")

    disabled = await world.api("/sources/projects/runs", method="POST")
    nowhere = await world.api("/sources/..%2fetc/runs", method="POST")

    assert (disabled.status_code, nowhere.status_code) == (422, 404)
    assert operators.waiting_requests(world.ledger) == []


async def test_a_key_that_was_made_opens_and_is_shown_once(world: Any) -> None:
    created = await world.api("/keys", "admin", "POST", name="Ada", scope="read", days=1)
    key, path = created.json()["key"], created.headers["Location"].removeprefix("/admin")

    opened = await world.client.get("/admin/runs", headers=bearer(key))
    read = await world.api(path, "admin")
    ended = await world.api(path, "admin", "DELETE")

    acts = [act.what for act in operators.audit_entries(world.ledger)]
    assert (created.status_code, opened.status_code) == (201, 200)
    assert key not in read.text + ended.text
    assert (read.json()["state"], ended.json()["state"]) == ("good", "revoked")
    assert acts == ["key revoked", "key created"]


async def test_no_key_is_in_a_log_an_act_or_an_error(world: Any) -> None:
    token = world.tokens["admin"]
    secret = token[-43:]

    with capture_logs() as logs:
        answers = [
            await world.api(f"/keys/{token}", "admin"),
            await world.api(f"/{token}", "admin"),
            await world.api("/keys", "admin", "POST", name=token, scope=token, days=token),
            await world.api("/keys", "admin", "POST", name="Ada", scope=token),
            await world.api(f"/runs?state={token}&key={token}", "admin"),
            await world.client.get("/admin/runs", headers=bearer(token[:-1])),
            await world.sign_in(token[:-1]),
        ]

    assert [answer.status_code for answer in answers] == [404, 404, 422, 422, 422, 401, 401]
    assert [answer.text for answer in answers if secret[:-1] in answer.text] == []
    assert len(logs) == len(answers)
    assert secret[:-1] not in repr(logs)
    assert secret not in repr(operators.audit_entries(world.ledger))


async def test_what_was_refused_is_logged_with_who_and_from_where(world: Any) -> None:
    with capture_logs() as logs:
        await world.api("/sources/projects/runs", "read", "POST")

    [output] = logs
    expected = {
        "event": "refused", "status": 403, "route": "/sources/{name}/runs", "who": world.keys["read"].display_name, "client": "127.0.0.1",
        "log_level": "warning",
    }  # fmt: skip
    assert expected.items() <= output.items()


async def test_a_ledger_that_another_process_holds_is_503_soon(world: Any, tmp_path: Path) -> None:
    world.context.close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        refused = await world.api("/sources")
        other.execute("ROLLBACK")
    assert (refused.status_code, (await world.api("/sources")).status_code) == (503, 200)


async def test_reading_goes_on_while_another_process_writes(world: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = await world.api("/sources")
        other.execute("ROLLBACK")

    assert answer.status_code == 200
    assert get_key(world.ledger, world.keys["operate"].id).last_used is None


async def test_the_api_describes_itself_without_a_key(client: httpx.AsyncClient) -> None:
    body = (await client.get("/admin/openapi.json")).json()

    scheme = body["components"]["securitySchemes"]["key"]
    operations = [operation for path in body["paths"].values() for operation in path.values()]
    assert body["servers"] == [{"url": "/admin"}]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert {*body["components"]["securitySchemes"]} == {"key"}
    open_ = [row["operationId"] for row in operations if row.get("security") != [{"key": []}]]
    assert open_ == []
    assert all({"401", "403", "429"} <= set(operation["responses"]) for operation in operations)


async def test_a_run_that_would_supersede_a_waiting_plan_is_asked_for_by_the_plan_s_name(
    world: Any,
) -> None:
    plan, runs = world.add_held_plan((staged("a"),)), "/sources/projects/runs"

    unnamed = await world.api(runs, method="POST")
    other = await world.api(runs, method="POST", supersede="projects.9")
    before = operators.run_requests(world.ledger)
    named = await world.api(runs, method="POST", supersede=plan.id)

    assert (unnamed.status_code, other.status_code, before) == (409, 409, [])
    assert f"the plan {plan.id} awaits approval" in unnamed.json()["detail"]
    assert named.status_code == 202
    assert [act.note for act in operators.audit_entries(world.ledger)] == [f"supersedes {plan.id}"]
