from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from rows import each

from harvesters.ledger import submissions
from harvesters.participation.check import suspicions

from .conftest import INITIATIVE, SubmissionWorld, change, person, submitted
from .test_moderation import admin, decide, signed_in  # noqa: F401 - a fixture

LINKS = " ".join(f"See https://shop.example/{number} now." for number in range(6))
UNWANTED: dict[str, Any] = {
    **INITIATIVE,
    "description": {"en": f"Cheap computers for all. {LINKS}"},
}


async def test_what_a_person_sends_with_many_links_is_held_back(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    headers = await person(world, client)

    quarantined = await submitted(client, UNWANTED, headers)
    plain = await submitted(client, headers=headers)
    keyed = await submitted(client, UNWANTED)

    states = [item["state"] for item in (quarantined, plain, keyed)]
    assert states == ["quarantined", "submitted", "submitted"]
    assert submissions.waiting(world.ledger)[0] == 2


async def test_a_change_is_scored_too_and_what_is_published_stays(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    headers = await person(world, client)
    id = (await submitted(client, headers=headers))["id"]
    world.accept(id)

    changed = await change(client, id, UNWANTED, headers)
    back = await change(client, id, INITIATIVE, headers)

    assert (changed.json()["state"], back.json()["state"]) == ("quarantined", "submitted")
    ((_, published),) = submissions.published(world.ledger)
    assert published
    assert published["description"] == INITIATIVE["description"]


async def test_a_moderator_decides_about_what_is_held_back(
    world: SubmissionWorld,
    client: httpx.AsyncClient,
    admin: httpx.AsyncClient,  # noqa: F811
) -> None:
    id = (await submitted(client, UNWANTED, await person(world, client)))["id"]
    await signed_in(admin, world)

    queue = await admin.get("/admin/page/submissions")
    quarantined = await admin.get("/admin/page/submissions?state=quarantined")
    page = await admin.get(f"/admin/page/submissions/{id}")
    answer = await decide(admin, id, "accept")

    assert id not in queue.text
    assert id in quarantined.text
    assert "links <bdi>4</bdi>" in page.text
    assert answer.status_code == 303
    assert world.stored(id).state.value == "accepted"


async def test_what_is_held_back_is_deleted_in_the_end_with_its_author(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client, UNWANTED, await person(world, client)))["id"]
    submitter = world.stored(id).submitter
    remaining: list[bool] = []
    for days in (89, 2):
        world.clock.advance(timedelta(days=days))
        now = world.clock.now()
        submissions.prune(world.ledger, now, now - timedelta(days=30), now - timedelta(days=90))
        remaining.append(submissions.find(world.ledger, id) is not None)

    assert remaining == [True, False]
    assert submissions.submitter_of(world.ledger, id=submitter) is None


@each(
    "content, seconds, points",
    [({"title": {"en": "Telecentres"}, "description": {"en": "See https://a.example and https://b.example for more."}}, None, {}),
     ({"description": {"ar": "أجهزة ودورات في أربعين قرية من قرى البلاد كلها منذ عشر سنوات."}}, 600, {}),
     ({"title": {"zh": "村庄"}, "description": {"zh": "我们" * 40}}, None, {}),
     ({"description": {"fr": "Компьютеры и курсы в сорока деревнях нашей области и соседних."}}, None, {"script": 2}),
     ({"title": {"en": "Telecentres"}}, 10.0, {"speed": 2}),
     ({"title": {"en": "https://a.example"}, "why": {"4": {"en": "www.b.example www.c"}}}, None, {"links": 1, "link in the title": 2})],
)  # fmt: skip
def test_points_are_counted_by_what_speaks_against_it(
    content: dict[str, Any], seconds: float | None, points: dict[str, int]
) -> None:
    assert suspicions(content, seconds) == points
