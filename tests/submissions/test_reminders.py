from __future__ import annotations

from datetime import timedelta

import httpx

from harvesters.ledger import operators, submissions
from harvesters.ledger.participation import Submission
from harvesters.participation import moderation
from harvesters.participation.actions import send_reminders
from vocab.iris import BASE

from .conftest import SITE, SubmissionWorld, bearer, codes, hidden, submitted
from .test_submission_form import sent

YEAR = timedelta(days=366)


async def accepted(world: SubmissionWorld, browser: httpx.AsyncClient) -> Submission:
    return world.accept((await sent(world, browser)).url.path.rpartition("/")[2])


def remind(world: SubmissionWorld) -> int:
    return send_reminders(world.ledger, world.context.channels, world.clock.now())


def published_day(world: SubmissionWorld) -> list[str]:
    statements = world.published_statements()
    return [line.rpartition(" ")[2] for line in statements if "schema.org/lastReviewed" in line]


async def test_a_reminder_is_sent_a_year_after_the_last_confirmation(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    item = await accepted(world, browser)
    early = remind(world)
    world.clock.advance(YEAR)
    channels = world.context.channels
    for without in (type(channels)(public_url=SITE), type(channels)(channels.mail)):
        assert send_reminders(world.ledger, without, world.clock.now()) == 0

    counts = [remind(world), remind(world)]
    world.clock.advance(timedelta(days=100))
    counts.append(remind(world))

    assert (early, counts) == (0, [1, 0, 0])
    assert world.mails()[-1][0] == "jane@example.org"
    assert item.title in world.mails()[-1][1]
    history = [event.what for event in submissions.history(world.ledger, item.id, internal=False)]
    assert history[-1] == "reminded"


async def test_the_link_confirms_once_and_the_record_has_the_day_and_a_link_expires(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    await accepted(world, browser)
    before = published_day(world)
    world.clock.advance(YEAR)
    remind(world)
    link = world.link("still-true")

    response = await browser.get(link)
    unchanged = published_day(world)
    confirmed = await browser.post(link)
    again = [(await browser.get(link)).status_code, (await browser.post(link)).status_code]

    date = "<http://www.w3.org/2001/XMLSchema#date>"
    assert "Village telecentres" in response.text
    assert before == unchanged == [f'"2026-03-01"^^{date}']
    assert (confirmed.status_code, again) == (200, [410, 410])
    assert published_day(world) == [f'"2027-03-02"^^{date}']
    [request] = operators.waiting_requests(world.ledger)
    assert request.source == "submissions"
    for days, count in ((300, 0), (66, 1)):
        world.clock.advance(timedelta(days=days))
        assert remind(world) == count
    world.clock.advance(timedelta(days=61))
    assert (await browser.post(world.link("still-true"))).status_code == 410
    assert published_day(world) == [f'"2027-03-02"^^{date}']


async def test_a_link_to_what_was_withdrawn_or_is_another_kind_fails(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    item = await accepted(world, browser)
    world.clock.advance(YEAR)
    remind(world)
    link = world.link("still-true")
    confirmation = await browser.post(link.replace("still-true", "confirm"))
    stored = world.stored(item.id)
    moderation.withdraw(
        world.context, world.keys["Grace"].display_name, stored, "The person asked."
    )

    assert codes(confirmation, await browser.post(link)) == [410, 410]
    assert remind(world) == 0


async def test_an_organization_confirms_by_http(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client))["id"]
    path, university = f"/submissions/{id}/confirmation", bearer(world.tokens["University"])
    waiting = await client.post(path)
    world.accept(id)
    world.clock.advance(YEAR)

    confirmed, other = await client.post(path), await client.post(path, headers=university)

    assert codes(waiting, confirmed, other) == [409, 200, 404]
    assert confirmed.json()["confirmed"].startswith("2027-03-02")
    assert confirmed.json()["version"] == 2
    assert remind(world) == 0


async def test_the_submitters_page_shows_state_findings_and_score(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    addresses: list[str] = []

    async def measured(record: str) -> int | None:
        addresses.append(record)
        return 73

    world.context.quality = measured
    item = await accepted(world, browser)
    path = f"/submit/mine/{item.id}"
    page = await browser.get(path)
    forged = await browser.post(f"{path}/withdraw", data={"csrf": "forged", "version": "2"})
    world.clock.advance(timedelta(hours=11))
    confirmed = await browser.post(f"{path}/confirm", data={"csrf": hidden(page)})

    for text in ("accepted", "73", "What the rules find"):
        assert text in page.text
    assert addresses[-1] == f"{BASE}record/submissions/{item.id}"
    assert codes(forged, confirmed) == [403, 200]
    assert world.stored(item.id).confirmed == world.clock.now()
