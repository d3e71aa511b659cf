"""Moderation on the admin pages, and what becomes of an accepted submission: plan, journal,
tombstone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin.app import create_admin
from harvesters.ledger.models import State
from harvesters.ledger.participation import submissions
from harvesters.participation.submissions.app import MODERATION
from vocab.iris import BASE

from .conftest import INITIATIVE, SubmissionWorld, bearer, definition, person

EVENT = {
    "type": "Event",
    "title": {"en": "Open day"},
    "publisher": "Ministry of Information",
    "start": "2026-05-01",
}


@pytest.fixture
async def admin(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Mount("/admin", create_admin(world.context.admin, MODERATION))])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://admin.example"
    ) as async_client:
        yield async_client


async def signed_in(admin: httpx.AsyncClient, world: SubmissionWorld, name: str = "Grace") -> None:
    answer = await admin.post("/admin/sign-in", data={"key": world.tokens[name], "path": "/admin/"})
    assert answer.status_code == 303


async def decide(
    admin: httpx.AsyncClient, id: str, decision: str, note: str = "", version: int | None = None
) -> httpx.Response:
    page = (await admin.get(f"/admin/page/submissions/{id}")).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    listed = re.search(r'name="version" value="([^"]+)"', page)
    assert csrf
    assert listed
    form = {"csrf": csrf[1], "version": str(version or listed[1]), "note": note}
    return await admin.post(f"/admin/page/submissions/{id}/{decision}", data=form)


async def submitted(
    client: httpx.AsyncClient,
    content: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    answer = await client.post("/submissions", json=content or INITIATIVE, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_an_accepted_submission_is_harvested_changed_and_withdrawn(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = await submitted(client)
    before = world.harvest()
    accepted = await decide(admin, id, "accept", "Well done")
    first = world.harvest()
    read = await client.get(f"/submissions/{id}")

    changed = await client.put(
        f"/submissions/{id}",
        json={**INITIATIVE, "title": {"en": "Fifty telecentres"}},
        headers={"If-Match": read.headers["ETag"]},
    )
    between = world.harvest()
    await decide(admin, id, "accept")
    second = world.harvest()
    withdrawn = await client.delete(
        f"/submissions/{id}",
        headers={"If-Match": (await client.get(f"/submissions/{id}")).headers["ETag"]},
    )
    third = world.harvest()

    assert [answer.status_code for answer in (accepted, changed, withdrawn)] == [303, 200, 200]
    states = [plan.run.state for plan in (before, first, between, second, third)]
    assert states == [
        State.COMMITTED, State.COMMITTED, State.UNCHANGED, State.COMMITTED, State.COMMITTED,
    ]  # fmt: skip
    rows = world.entries()
    subject = f"<{BASE}id/initiative/submissions/{id}> <http://purl.org/dc/terms/title>"
    assert f'A {subject} "Village telecentres"@en' in rows
    assert f'D {subject} "Village telecentres"@en' in rows
    assert f'A {subject} "Fifty telecentres"@en' in rows
    assert f'D {subject} "Fifty telecentres"@en' in rows
    assert (
        f"<{BASE}record/submissions/{id}> <http://www.w3.org/ns/adms#status> <{BASE}operations#gone>"
        in rows
    )


async def test_no_address_is_in_the_journal_or_the_archive(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    token = await person(world, client)
    id = await submitted(client, headers=token)
    await decide(admin, id, "accept")
    world.harvest()

    files = [
        file
        for file in world.folder.rglob("*")
        if file.is_file() and "ledger.sqlite" not in file.name
    ]

    assert f"submissions/{id}" in world.entries()
    assert [file.name for file in files if b"jane" in file.read_bytes()] == []
    assert "jane" not in world.entries()


async def test_acceptance_queues_one_run_and_is_in_the_audit_log(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    first, second = await submitted(client), await submitted(client, EVENT)

    await decide(admin, first, "accept", "Well done")
    await decide(admin, second, "accept")

    requests = [item.source for item in world.ledger.operators.waiting_requests()]
    entries = [
        (item.what, item.source, item.note) for item in world.ledger.operators.audit_entries()
    ]
    assert requests == ["submissions"]
    assert ("submission accepted", "submissions", f"{first}: Well done") in entries
    assert "accepted a submission" in (await admin.get("/admin/page/audit-log")).text


async def test_a_person_is_asked_for_changes_by_mail(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    await client.post(
        "/submissions/confirmations",
        json={"mail": "jane@example.org"},
        headers={"Accept-Language": "fr"},
    )
    secret = world.last_secret()
    token = bearer(
        (
            await client.post(
                f"/submissions/confirmations/{secret}", headers={"Accept-Language": "fr"}
            )
        ).json()["token"]
    )
    id = await submitted(client, headers=token)

    without_note = await decide(admin, id, "changes")
    with_note = await decide(admin, id, "changes", "Name the villages, please.")

    read = (await client.get(f"/submissions/{id}", headers=token)).json()
    address, text = world.mails()[-1]
    assert (without_note.status_code, with_note.status_code, read["state"]) == (
        422,
        303,
        "changes-requested",
    )
    assert (
        address,
        "Name the villages, please." in text,
        "Un modérateur vous demande" in text,
    ) == ("jane@example.org", True, True)
    assert read["history"][-1]["who"] == "moderator"
    assert "Grace" not in str(read)


async def test_two_people_accept_if_the_source_says_so(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world.set_definition(
        definition().replace("enabled   = true", "enabled   = true\nsecond_approver = true")
    )
    await signed_in(admin, world, "Grace")
    id = await submitted(client)

    first = await decide(admin, id, "accept")
    again = await decide(admin, id, "accept")
    waiting = submissions.find(world.ledger, id)
    await signed_in(admin, world, "Ada")
    second = await decide(admin, id, "accept")

    accepted = submissions.find(world.ledger, id)
    assert waiting
    assert accepted
    assert [answer.status_code for answer in (first, again, second)] == [303, 409, 303]
    assert (waiting.state.value, waiting.published, accepted.state.value) == (
        "submitted",
        None,
        "accepted",
    )


async def test_what_was_changed_meanwhile_is_not_accepted(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = await submitted(client)
    await client.put(
        f"/submissions/{id}",
        json={**INITIATIVE, "title": {"en": "Other"}},
        headers={"If-Match": '"1"'},
    )

    answer = await decide(admin, id, "accept", version=1)

    unchanged = submissions.find(world.ledger, id)
    assert unchanged
    assert (answer.status_code, unchanged.state.value) == (412, "submitted")


async def test_a_rejected_change_leaves_the_published_version(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = await submitted(client)
    await decide(admin, id, "accept")
    version = (await client.get(f"/submissions/{id}")).headers["ETag"]
    await client.put(
        f"/submissions/{id}",
        json={**INITIATIVE, "title": {"en": "Worse"}},
        headers={"If-Match": version},
    )

    page = (await admin.get(f"/admin/page/submissions/{id}")).text
    await decide(admin, id, "reject", "The old title was better.")

    read = (await client.get(f"/submissions/{id}")).json()
    assert '<del dir="auto">en: Village telecentres</del>' in page
    assert (read["state"], read["content"]["title"]) == ("accepted", {"en": "Village telecentres"})


async def test_spam_cannot_be_changed_and_gets_no_mail(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = await submitted(client)

    marked = await decide(admin, id, "spam")

    version = (await client.get(f"/submissions/{id}")).headers["ETag"]
    changed = await client.put(f"/submissions/{id}", json=INITIATIVE, headers={"If-Match": version})
    assert (marked.status_code, changed.status_code, world.mails()) == (303, 409, [])


async def test_the_queue_has_the_oldest_first_and_who_took_it_on(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    first = await submitted(client)
    world.clock.advance(timedelta(minutes=10))
    await submitted(client, EVENT)

    await decide(admin, first, "assign")
    await decide(admin, first, "comment", "Looks good to me.")
    page = (await admin.get("/admin/page/submissions")).text
    item = (await admin.get(f"/admin/page/submissions/{first}")).text

    twin = await submitted(client)
    doubled = (await admin.get(f"/admin/page/submissions/{twin}")).text

    assert page.index("Village telecentres") < page.index("Open day")
    assert f"/record/submissions/{first}" in doubled
    assert world.keys["Grace"].display_name in page
    assert "Looks good to me." in item
    assert "Looks good" not in str((await client.get(f"/submissions/{first}")).json())


async def test_a_reader_decides_nothing_and_a_hostile_text_is_escaped(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world.keys["Reader"], world.tokens["Reader"] = world.read_key()
    await signed_in(admin, world, "Reader")
    id = await submitted(client, {**INITIATIVE, "subject": ['"><img src=x onerror=alert(1)>']})

    page = await admin.get(f"/admin/page/submissions/{id}")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf
    answer = await admin.post(
        f"/admin/page/submissions/{id}/accept", data={"csrf": csrf[1], "version": "1"}
    )
    forged = await admin.post(
        f"/admin/page/submissions/{id}/accept", data={"csrf": "x", "version": "1"}
    )

    assert ("<img src=x" in page.text, answer.status_code, forged.status_code) == (False, 403, 403)


async def test_the_number_that_waits_is_counted(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert submissions.waiting(world.ledger) == (0, None)
    since = world.clock.now()
    await submitted(client)
    world.clock.advance(timedelta(hours=1))
    await submitted(client, EVENT)

    assert submissions.waiting(world.ledger) == (2, since)
    await signed_in(admin, world)
    link = '<a href="/admin/page/submissions" class="waiting">Submissions <bdi>2</bdi></a>'
    assert link in (await admin.get("/admin/")).text


async def test_old_drafts_links_and_persons_are_deleted(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    await client.post(f"/submissions/confirmations/{world.last_secret()}")
    now = world.clock.now() + timedelta(days=31)

    submissions.prune(world.ledger, now, now - timedelta(days=30))

    assert submissions.submitter_of(world.ledger, mail="jane@example.org") is None


async def test_a_decision_without_a_mail_server_is_kept(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    token = await person(world, client)
    id = await submitted(client, headers=token)
    world.context.admin.channels = type(world.context.admin.channels)()

    answer = await decide(admin, id, "accept")

    read = (await client.get(f"/submissions/{id}", headers=token)).json()
    assert (answer.status_code, read["state"], len(world.mails())) == (303, "accepted", 1)
