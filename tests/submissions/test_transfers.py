"""A submission is handed over to a person or an organization, and found again by a moderator for
who lost an address.
"""

from __future__ import annotations

import re
from datetime import timedelta

import httpx

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.submissions import SubmissionState
from harvesters.participation.submissions import moderation

from .conftest import INITIATIVE, SubmissionWorld, bearer
from .test_submission_form import browser, hidden, sent

__all__ = ["browser"]


def link(world: SubmissionWorld) -> str:
    """Return the path of the link in the last message."""
    match = re.search(r"http://site\.example(/submit/transfer/\S+)", world.mails()[-1][1])
    assert match
    return match[1]


async def test_a_person_hands_a_submission_to_another(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    mine = await sent(world, browser)
    offered = await browser.post(
        f"{mine.url.path}/transfer",
        data={"csrf": hidden(mine, "csrf"), "mail": "ahmed@example.org"},
    )
    path = link(world)
    offer_page = await browser.get(path)
    still = await browser.get(mine.url.path)
    browser.cookies.clear()
    response = await browser.post(path)
    again = await browser.post(path)
    session = dict(browser.cookies)
    browser.cookies.clear()
    await browser.post("/submit/mine", data={"mail": "jane@example.org", "website": ""})
    former = await browser.post(f"/submit/confirm/{world.last_secret()}")
    refused = await browser.get(mine.url.path)

    assert [
        page.status_code for page in (offered, offer_page, still, response, again, refused)
    ] == [200, 200, 200, 200, 410, 404]
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
    csrf = hidden(mine, "csrf")
    await browser.post(
        f"{mine.url.path}/transfer", data={"csrf": csrf, "mail": "ahmed@example.org"}
    )
    path = link(world)
    foreign = await browser.post(
        f"{mine.url.path}/transfer", data={"csrf": "0" * 64, "mail": "ahmed@example.org"}
    )
    mistyped = await browser.post(
        f"{mine.url.path}/transfer", data={"csrf": csrf, "mail": "nobody"}
    )
    as_confirmation = await browser.post(path.replace("/transfer/", "/confirm/"))
    world.clock.advance(timedelta(days=8))
    late = await browser.post(path)

    assert [page.status_code for page in (foreign, mistyped, as_confirmation, late)] == [
        403,
        422,
        410,
        410,
    ]


async def test_organizations_hand_over_by_http_and_are_not_named_after(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await client.post("/submissions", json=INITIATIVE)).json()["id"]
    university = bearer(world.tokens["University"])
    foreign = await client.post(
        f"/submissions/{id}/transfer", json={"mail": "dean@example.org"}, headers=university
    )
    offered = await client.post(f"/submissions/{id}/transfer", json={"mail": "dean@example.org"})
    secret = link(world).rpartition("/")[2]
    nobody = await client.post(f"/submissions/transfers/{secret}", headers={"Authorization": ""})
    response = await client.post(f"/submissions/transfers/{secret}", headers=university)
    again = await client.post(f"/submissions/transfers/{secret}", headers=university)
    former = await client.get(f"/submissions/{id}")
    owned = await client.get(f"/submissions/{id}", headers=university)

    statuses = [
        answer.status_code for answer in (foreign, offered, nobody, response, again, former, owned)
    ]
    assert statuses == [404, 202, 401, 200, 410, 404, 200]
    assert offered.json() == {"state": "sent"}
    assert [(event["what"], event["who"]) for event in owned.json()["history"]] == [
        ("submitted", "submitter"),
        ("offered", "submitter"),
        ("taken over", "University"),
    ]
    assert "Ministry" not in owned.text.replace("Ministry of Information", "")


async def test_a_moderator_recovers_the_submission_of_a_lost_address(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    mine = await sent(world, browser)
    item = moderation.find(world.context.admin, mine.url.path.rpartition("/")[2])
    moderation.accept(world.context.admin, world.keys["Grace"], item, "")
    moderation.transfer(
        world.context.admin,
        world.keys["Grace"],
        moderation.find(world.context.admin, item.id),
        "jane@new.example",
    )
    browser.cookies.clear()
    response = await browser.post(link(world))

    (audit,) = [
        entry
        for entry in world.ledger.operators.audit_entries(20)
        if entry.what == "submission handed over"
    ]
    submission = submissions.find(world.ledger, item.id)
    assert (response.status_code, response.url.path) == (200, mine.url.path)
    assert submission is not None
    assert (submission.state, submission.published) == (SubmissionState.ACCEPTED, item.content)
    assert "jane" not in (audit.note or "")
    assert "A moderator" in response.text
