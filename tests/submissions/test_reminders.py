"""Once a year: is it still true? The link of the mail confirms once, and the published record has
the day.
"""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import orjson
import pytest

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.submissions import Submission
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.participation.submissions import moderation
from harvesters.participation.submissions.reminders import send_reminders
from harvesters.pipeline.record_processor import load_crosswalks
from harvesters.runs.submission_transport import SubmissionTransport
from vocab.iris import BASE, Iris
from vocab.statements.describe import describe

from .conftest import SITE, SubmissionWorld, bearer
from .test_submission_form import browser, hidden, sent

__all__ = ["browser"]
YEAR = timedelta(days=366)


async def accepted(world: SubmissionWorld, browser: httpx.AsyncClient) -> Submission:
    """Return a published submission of a person."""
    page = await sent(world, browser)
    item = moderation.find(world.context.admin, page.url.path.rpartition("/")[2])
    return moderation.accept(world.context.admin, world.keys["Grace"], item, "")


def remind(world: SubmissionWorld) -> int:
    return send_reminders(world.ledger, world.context.admin.channels, world.clock.now())


def reminder_link(world: SubmissionWorld) -> str:
    match = re.search(r"http://site\.example(/submit/still-true/\S+)", world.mails()[-1][1])
    assert match
    return match[1]


def published_day(world: SubmissionWorld) -> list[object]:
    """Return the day that each record of the source has, as it is published."""
    body = orjson.loads(
        SubmissionTransport(world.ledger).handle_request(httpx.Request("GET", SITE)).content
    )
    mapper = MAPPINGS["submission"].prepare(world.context.source(), load_crosswalks(BASE))
    statements = [
        line
        for key, content in body["accepted"].items()
        for line in describe(mapper(Record(key, content, b"")), Iris(BASE), "submissions")
    ]
    return [line.rpartition(" ")[2] for line in statements if "schema.org/lastReviewed" in line]


async def test_a_reminder_is_sent_a_year_after_the_last_confirmation(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    item = await accepted(world, browser)
    early = remind(world)
    world.clock.advance(YEAR)

    counts = [remind(world), remind(world)]
    world.clock.advance(timedelta(days=100))
    counts.append(remind(world))

    assert (early, counts) == (0, [1, 0, 0])
    assert world.mails()[-1][0] == "jane@example.org"
    assert item.title in world.mails()[-1][1]
    history = [event.what for event in submissions.history(world.ledger, item.id, internal=False)]
    assert history[-1] == "reminded"


async def test_the_link_confirms_once_and_the_record_has_the_day(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    await accepted(world, browser)
    before = published_day(world)
    world.clock.advance(YEAR)
    remind(world)
    link = reminder_link(world)

    response = await browser.get(link)
    unchanged = published_day(world)
    confirmed = await browser.post(link)
    again = [(await browser.get(link)).status_code, (await browser.post(link)).status_code]

    date = "<http://www.w3.org/2001/XMLSchema#date>"
    assert "Village telecentres" in response.text
    assert before == unchanged == [f'"2026-03-01"^^{date}']
    assert (confirmed.status_code, again) == (200, [410, 410])
    assert published_day(world) == [f'"2027-03-02"^^{date}']
    assert [request.source for request in world.ledger.operators.waiting_requests()] == [
        "submissions"
    ]
    world.clock.advance(timedelta(days=300))
    assert remind(world) == 0


@pytest.mark.parametrize("days", [61])
async def test_a_link_expires(
    days: int, world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    await accepted(world, browser)
    world.clock.advance(YEAR)
    remind(world)
    world.clock.advance(timedelta(days=days))

    answer = await browser.post(reminder_link(world))

    assert (answer.status_code, len(published_day(world))) == (410, 1)
    assert "2026-03-01" in str(published_day(world))


async def test_a_link_to_what_was_withdrawn_or_is_another_kind_fails(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    item = await accepted(world, browser)
    world.clock.advance(YEAR)
    remind(world)
    link = reminder_link(world)
    confirmation = await browser.post(link.replace("still-true", "confirm"))
    moderation.withdraw(
        world.context.admin,
        world.keys["Grace"],
        moderation.find(world.context.admin, item.id),
        "The person asked.",
    )

    assert [confirmation.status_code, (await browser.post(link)).status_code] == [410, 410]
    assert remind(world) == 0


async def test_no_reminder_without_a_mail_server(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    await accepted(world, browser)
    world.clock.advance(YEAR)
    channels = world.context.admin.channels

    assert send_reminders(world.ledger, type(channels)(public_url=SITE), world.clock.now()) == 0
    assert send_reminders(world.ledger, type(channels)(channels.mail), world.clock.now()) == 0


async def test_an_organization_confirms_by_http(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (
        await client.post("/submissions", json={"type": "Initiative", "title": {"en": "A"}})
    ).json()["id"]
    waiting = await client.post(f"/submissions/{id}/confirmation")
    world.accept(id)
    world.clock.advance(YEAR)

    confirmed = await client.post(f"/submissions/{id}/confirmation")
    other = await client.post(
        f"/submissions/{id}/confirmation", headers=bearer(world.tokens["University"])
    )

    assert (waiting.status_code, confirmed.status_code, other.status_code) == (409, 200, 404)
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
    page = await browser.get(f"/submit/mine/{item.id}")
    forged = await browser.post(
        f"/submit/mine/{item.id}/withdraw", data={"csrf": "forged", "version": "2"}
    )
    world.clock.advance(timedelta(hours=11))
    confirmed = await browser.post(
        f"/submit/mine/{item.id}/confirm", data={"csrf": hidden(page, "csrf")}
    )

    assert ("accepted" in page.text, "73" in page.text, "What the rules find" in page.text) == (
        True,
        True,
        True,
    )
    assert addresses[-1] == f"{BASE}record/submissions/{item.id}"
    assert (forged.status_code, confirmed.status_code) == (403, 200)
    assert submissions.find(world.ledger, item.id).confirmed == world.clock.now()  # type: ignore[union-attr]  # it is there
