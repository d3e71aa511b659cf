from __future__ import annotations

from datetime import timedelta

import httpx

from harvesters.ledger import operators
from harvesters.ledger.participation import SubmissionState
from harvesters.participation import moderation

from .conftest import SubmissionWorld, bearer, codes, hidden, submitted
from .test_submission_form import sent


async def test_a_person_hands_a_submission_to_another(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    mine = await sent(world, browser)
    form = {"csrf": hidden(mine), "mail": "ahmed@example.org"}
    offered = await browser.post(f"{mine.url.path}/transfer", data=form)
    path = world.link("transfer")
    offer_page = await browser.get(path)
    still = await browser.get(mine.url.path)
    browser.cookies.clear()
    response = await browser.post(path)
    again = await browser.post(path)
    session = dict(browser.cookies)
    browser.cookies.clear()
    await browser.post("/submit/mine", data={"mail": "jane@example.org", "website": ""})
    former = await browser.post(world.link())
    refused = await browser.get(mine.url.path)

    answers = (offered, offer_page, still, response, again, refused)
    assert codes(*answers) == [200, 200, 200, 200, 410, 404]
    assert world.mails()[-2][0] == "ahmed@example.org"
    assert "Village telecentres" in offer_page.text
    assert response.url.path == mine.url.path
    assert "took it over" in response.text
    assert "Village telecentres" not in former.text
    assert session


async def test_a_link_that_is_old_or_of_another_kind_hands_nothing_over(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    mine = await sent(world, browser)
    form, path = {"csrf": hidden(mine), "mail": "ahmed@example.org"}, f"{mine.url.path}/transfer"
    await browser.post(path, data=form)
    link = world.link("transfer")
    foreign = await browser.post(path, data={**form, "csrf": "0" * 64})
    mistyped = await browser.post(path, data={**form, "mail": "nobody"})
    as_confirmation = await browser.post(link.replace("/transfer/", "/confirm/"))
    world.clock.advance(timedelta(days=8))
    late = await browser.post(link)

    assert codes(foreign, mistyped, as_confirmation, late) == [403, 422, 410, 410]


async def test_organizations_hand_over_by_http_and_are_not_named_after(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    path = f"/submissions/{(await submitted(client))['id']}"
    university, mail = bearer(world.tokens["University"]), {"mail": "dean@example.org"}
    foreign = await client.post(f"{path}/transfer", json=mail, headers=university)
    offered = await client.post(f"{path}/transfer", json=mail)
    transfer = f"/submissions/transfers/{world.link('transfer').rpartition('/')[2]}"
    nobody = await client.post(transfer, headers={"Authorization": ""})
    response = await client.post(transfer, headers=university)
    again = await client.post(transfer, headers=university)
    former = await client.get(path)
    owned = await client.get(path, headers=university)

    answers = (foreign, offered, nobody, response, again, former, owned)
    history = [(event["what"], event["who"]) for event in owned.json()["history"]]
    assert codes(*answers) == [404, 202, 401, 200, 410, 404, 200]
    assert offered.json() == {"state": "sent"}
    assert history == [
        ("submitted", "submitter"), ("offered", "submitter"), ("taken over", "University"),
    ]  # fmt: skip
    assert "Ministry" not in owned.text.replace("Ministry of Information", "")


async def test_a_moderator_recovers_the_submission_of_a_lost_address(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    mine = await sent(world, browser)
    item = world.accept(mine.url.path.rpartition("/")[2])
    moderation.transfer(world.context, world.keys["Grace"].display_name, item, "jane@new.example")
    browser.cookies.clear()

    response = await browser.post(world.link("transfer"))

    entries = operators.audit_entries(world.ledger, 20)
    [note] = [entry.note for entry in entries if entry.what == "submission handed over"]
    submission = world.stored(item.id)
    assert (response.status_code, response.url.path) == (200, mine.url.path)
    assert (submission.state, submission.published) == (SubmissionState.ACCEPTED, item.content)
    assert "jane" not in (note or "")
    assert "A moderator" in response.text
