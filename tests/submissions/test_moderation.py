from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from harvesters.ledger import operators, submissions
from harvesters.ledger.models import State
from vocab.iris import BASE

from .conftest import (
    INITIATIVE,
    SubmissionWorld,
    administering,
    change,
    codes,
    definition,
    hidden,
    person,
    submitted,
)

EVENT = {
    "type": "Event", "title": {"en": "Open day"}, "publisher": "Ministry of Information", "start": "2026-05-01",
}  # fmt: skip


@pytest.fixture
async def admin(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with administering(world) as opened:
        yield opened


async def signed_in(admin: httpx.AsyncClient, world: SubmissionWorld, name: str = "Grace") -> None:
    answer = await admin.post("/admin/sign-in", data={"key": world.tokens[name], "path": "/admin/"})
    assert answer.status_code == 303


async def decide(
    admin: httpx.AsyncClient, id: str, decision: str, note: str = "", version: int | None = None
) -> httpx.Response:
    page = await admin.get(f"/admin/page/submissions/{id}")
    form = {"csrf": hidden(page), "version": version or hidden(page, "version"), "note": note}
    return await admin.post(f"/admin/page/submissions/{id}/{decision}", data=form)


async def test_an_accepted_submission_is_harvested_changed_and_withdrawn(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = (await submitted(client))["id"]
    before = world.harvest()
    accepted = await decide(admin, id, "accept", "Well done")
    first = world.harvest()

    changed = await change(client, id, {**INITIATIVE, "title": {"en": "Fifty telecentres"}})
    between = world.harvest()
    await decide(admin, id, "accept")
    second = world.harvest()
    withdrawn = await change(client, id, None)
    third = world.harvest()

    assert codes(accepted, changed, withdrawn) == [303, 200, 200]
    states = [plan.run.state for plan in (before, first, between, second, third)]
    assert states == [
        State.COMMITTED, State.COMMITTED, State.UNCHANGED, State.COMMITTED, State.COMMITTED,
    ]  # fmt: skip
    rows, status = world.entries(), "<http://www.w3.org/ns/adms#status>"
    subject = f"<{BASE}id/initiative/submissions/{id}> <http://purl.org/dc/terms/title>"
    for title in ("Village telecentres", "Fifty telecentres"):
        for sign in "AD":
            assert f'{sign} {subject} "{title}"@en' in rows
    assert f"<{BASE}record/submissions/{id}> {status} <{BASE}operations#gone>" in rows


async def test_a_decision_needs_no_mail_server_and_no_address_is_in_the_journal_or_the_archive(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    token = await person(world, client)
    id = (await submitted(client, headers=token))["id"]
    world.admin.channels = type(world.admin.channels)()
    answer = await decide(admin, id, "accept")
    read = (await client.get(f"/submissions/{id}", headers=token)).json()
    assert (answer.status_code, read["state"], len(world.mails())) == (303, "accepted", 1)

    world.harvest()

    for file in world.folder.rglob("*"):
        if file.is_file() and "ledger.sqlite" not in file.name:
            assert b"jane" not in file.read_bytes(), file
    assert f"submissions/{id}" in world.entries()
    assert "jane" not in world.entries()


async def test_acceptance_queues_one_run_and_is_in_the_audit_log(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    first, second = [(await submitted(client, item))["id"] for item in (INITIATIVE, EVENT)]

    await decide(admin, first, "accept", "Well done")
    await decide(admin, second, "accept")

    entries = [
        (item.what, item.source, item.note) for item in operators.audit_entries(world.ledger)
    ]
    assert [item.source for item in operators.waiting_requests(world.ledger)] == ["submissions"]
    assert ("submission accepted", "submissions", f"{first}: Well done") in entries
    assert "accepted a submission" in (await admin.get("/admin/page/audit-log")).text


async def test_a_person_is_asked_for_changes_by_mail(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    token = await person(world, client, language="fr")
    id = (await submitted(client, headers=token))["id"]

    without_note = await decide(admin, id, "changes")
    with_note = await decide(admin, id, "changes", "Name the villages, please.")

    read = (await client.get(f"/submissions/{id}", headers=token)).json()
    address, text = world.mails()[-1]
    assert codes(without_note, with_note) == [422, 303]
    assert (read["state"], address) == ("changes-requested", "jane@example.org")
    assert "Name the villages, please." in text
    assert "Un modérateur vous demande" in text
    assert read["history"][-1]["who"] == "moderator"
    assert "Grace" not in str(read)


async def test_two_people_accept_if_the_source_says_so(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    enabled = "enabled   = true"
    world.set_definition(definition().replace(enabled, f"{enabled}\nsecond_approver = true"))
    await signed_in(admin, world, "Grace")
    id = (await submitted(client))["id"]

    first = await decide(admin, id, "accept")
    again = await decide(admin, id, "accept")
    waiting = world.stored(id)
    await signed_in(admin, world, "Ada")
    assert codes(first, again, (await decide(admin, id, "accept"))) == [303, 409, 303]
    assert (waiting.state.value, waiting.published) == ("submitted", None)
    assert world.stored(id).state.value == "accepted"


async def test_a_rejected_change_leaves_the_published_version(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = (await submitted(client))["id"]
    await decide(admin, id, "accept")
    await change(client, id, {**INITIATIVE, "title": {"en": "Worse"}})

    page = (await admin.get(f"/admin/page/submissions/{id}")).text
    await decide(admin, id, "reject", "The old title was better.")

    read = (await client.get(f"/submissions/{id}")).json()
    assert '<del dir="auto">en: Village telecentres</del>' in page
    assert (read["state"], read["content"]["title"]) == ("accepted", {"en": "Village telecentres"})


async def test_what_was_changed_meanwhile_is_not_accepted_and_spam_is_not_changed(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    id = (await submitted(client))["id"]
    await change(client, id, {**INITIATIVE, "title": {"en": "Other"}})
    late = await decide(admin, id, "accept", version=1)
    assert (late.status_code, world.stored(id).state.value) == (412, "submitted")

    marked = await decide(admin, id, "spam")
    changed = await change(client, id, INITIATIVE)

    assert (codes(marked, changed), world.mails()) == ([303, 409], [])


async def test_the_queue_has_the_oldest_first_and_who_took_it_on_and_the_inbox_their_number(
    world: SubmissionWorld, client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await signed_in(admin, world)
    none, since = submissions.waiting(world.ledger), world.clock.now()
    first = (await submitted(client))["id"]
    world.clock.advance(timedelta(minutes=10))
    await submitted(client, EVENT)
    waiting, inbox = submissions.waiting(world.ledger), (await admin.get("/admin/")).text

    await decide(admin, first, "assign")
    await decide(admin, first, "comment", "Looks good to me.")
    page = (await admin.get("/admin/page/submissions")).text
    item = (await admin.get(f"/admin/page/submissions/{first}")).text
    twin = (await submitted(client))["id"]
    doubled = (await admin.get(f"/admin/page/submissions/{twin}")).text

    assert (none, waiting) == ((0, None), (2, since))
    assert '<a href="/admin/page/submissions" class="waiting">Submissions <bdi>2</bdi></a>' in inbox
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
    id = (await submitted(client, subject=['"><img src=x onerror=alert(1)>']))["id"]
    path = f"/admin/page/submissions/{id}"

    page = await admin.get(path)
    for csrf in (hidden(page), "x"):
        answer = await admin.post(f"{path}/accept", data={"csrf": csrf, "version": "1"})
        assert answer.status_code == 403

    assert "<img src=x" not in page.text


async def test_old_drafts_links_and_persons_are_deleted(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    await client.post(f"/submissions/confirmations/{world.last_secret()}")
    now = world.clock.now() + timedelta(days=31)

    submissions.prune(world.ledger, now, now - timedelta(days=30))

    assert submissions.submitter_of(world.ledger, mail="jane@example.org") is None
