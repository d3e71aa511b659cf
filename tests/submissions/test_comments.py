from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from rows import each

from harvesters.ledger import submissions
from harvesters.ledger.participation import Submission, SubmissionState
from harvesters.participation.comments import MAX_TEXT, shown_comments

from .conftest import SubmissionWorld, administering, bearer, codes, hidden, submitted, visiting

POST = {
    "type": "Post", "title": {"en": "We opened"}, "content": {"en": "The first telecentre is open."},
    "publisher": "Ministry of Information",
    "issued": "2026-05-01",
}  # fmt: skip


HOSTILE = "Hello <script>alert(1)</script> <b>all</b>\u202e\nmail me: jane.doe@example.org"


@pytest.fixture
async def people(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application, with comments enabled."""
    world.context.comments = True
    async with visiting(world) as opened:
        yield opened


@pytest.fixture
async def admin(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with administering(world) as opened:
        key = {"key": world.tokens["Grace"], "path": "/admin/"}
        await opened.post("/admin/sign-in", data=key)
        yield opened


@pytest.fixture
async def post(world: SubmissionWorld, people: httpx.AsyncClient) -> str:
    id = (await submitted(people, POST, bearer(world.tokens["Ministry"])))["id"]
    world.accept(id)
    world.harvest()
    return f"post/submissions/{id}"


async def comment(people: httpx.AsyncClient, post: str, text: str, **fields: str) -> httpx.Response:
    return await people.post("/submit/comments", data={"about": post, "text": text, **fields})


async def written(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str, text: str
) -> tuple[str, httpx.Response]:
    """Write a comment; return the address of its summary, and the page."""
    summary = (await comment(people, post, text)).headers["location"]
    world.clock.advance(timedelta(seconds=10))
    return summary, await people.get(summary)


async def sent(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str, text: str, mail: str = "reader@example.org"
) -> httpx.Response:  # fmt: skip
    """Send a comment without a session, open the link in the message, and return the response to
    the link.
    """
    people.cookies.clear()
    summary, _ = await written(world, people, post, text)
    answer = await people.post(summary, data={"mail": mail})
    assert answer.status_code == 200, answer.text
    return await people.post(world.link())


async def decide(
    admin: httpx.AsyncClient, id: str, decision: str, note: str = ""
) -> httpx.Response:
    page = await admin.get(f"/admin/page/submissions/{id}")
    form = {"csrf": hidden(page), "version": hidden(page, "version"), "note": note}
    return await admin.post(f"/admin/page/submissions/{id}/{decision}", data=form)


def in_state(world: SubmissionWorld, state: SubmissionState) -> list[Submission]:
    listed = submissions.in_states(world.ledger, (state,), 100)
    return sorted((item for item in listed if item.post), key=lambda item: item.created)


def text_of(content: Any) -> str:
    return str(content["content"]["en"])


def waiting(world: SubmissionWorld) -> list[str]:
    return [text_of(item.content) for item in in_state(world, SubmissionState.SUBMITTED)]


def the_one(world: SubmissionWorld, state: SubmissionState = SubmissionState.SUBMITTED) -> str:
    (comment,) = in_state(world, state)
    return comment.id


async def test_a_comment_is_confirmed_accepted_and_shown_as_text(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    summary, page = await written(world, people, post, HOSTILE)
    draft = await people.post(summary, data={"mail": "reader@example.org"})
    link = world.link()
    linked, before = await people.get(link), waiting(world)
    confirmed, again = await people.post(link), await people.post(link)
    unseen = shown_comments(world.context, post)
    queue = await admin.get("/admin/page/submissions")
    id = the_one(world)
    accepted = await decide(admin, id, "accept")

    assert codes(page, draft, linked, confirmed, again, accepted) == [200, 200, 200, 303, 410, 303]
    assert 'name="mail"' in page.text
    assert page.text.count("<dt>") == 1
    assert (before, unseen) == ([], [])
    assert "Comment on a post" in queue.text
    assert all("<script>" not in each.text for each in (page, linked, queue))
    texts = shown_comments(world.context, post)
    assert texts
    assert [text for _, text in texts] == ["Hello all\n\nmail me: […]"]


@each(
    "about",
    ["", "post", "post/submissions/none", "initiative/submissions/1", "post/../..", "post/\u202e/\x00", "a" * 1_000],
)  # fmt: skip
async def test_what_is_no_post_cannot_be_commented_on(
    people: httpx.AsyncClient, post: str, about: str
) -> None:
    answer = await comment(people, about, "Well done")
    event = await comment(people, post.replace("post/", "event/", 1), "Well done")

    assert codes(answer, event) == [404, 404]


@each("text", ["", "   \n", "\u200b\u202e", "<p></p>", "x" * (MAX_TEXT + 1)])
async def test_an_empty_and_a_long_text_are_refused(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str, text: str
) -> None:
    answer = await comment(people, post, text)

    assert answer.status_code == 422
    assert in_state(world, SubmissionState.DRAFT) == []


async def test_forms_of_other_sites_and_of_programs_and_where_comments_are_off_are_refused(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    form = {"about": post, "text": "Well done"}
    other, spam = {"Sec-Fetch-Site": "cross-site"}, {"website": "https://pills.example/"}

    foreign = await people.post("/submit/comments", data=form, headers=other)
    trapped = await people.post("/submit/comments", data={**form, **spam})

    world.context.comments = False
    answer = await comment(people, post, "Well done")

    assert codes(foreign, trapped, answer) == [403, 422, 503]
    assert (in_state(world, SubmissionState.DRAFT), shown_comments(world.context, post)) == (
        [],
        None,
    )


async def test_a_session_sends_at_once(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "First")

    summary, page = await written(world, people, post, "Second")
    answer = await people.post(summary)
    own = await people.get("/submit" + answer.headers["location"].removeprefix("/submit"))

    assert answer.status_code == 303
    assert 'name="mail"' not in page.text
    assert waiting(world) == ["First", "Second"]
    assert "Second" in own.text


async def test_a_rejected_comment_has_a_reason_which_its_author_gets(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Nonsense")
    id = the_one(world)

    silent = await decide(admin, id, "reject")
    rejected = await decide(admin, id, "reject", "It is about something else.")
    twice = await decide(admin, id, "accept")
    own = await people.get(f"/submit/mine/{id}")

    assert codes(silent, rejected, twice) == [422, 303, 409]
    assert "It is about something else." in world.mails()[-1][1]
    assert "It is about something else." in own.text
    assert shown_comments(world.context, post) == []


async def test_an_accepted_comment_is_withdrawn_by_a_moderator(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Well done")
    id = the_one(world)
    await decide(admin, id, "accept")
    before = shown_comments(world.context, post)

    withdrawn = await decide(admin, id, "withdraw", "A person is named.")

    assert before
    assert withdrawn.status_code == 303
    assert shown_comments(world.context, post) == []


async def test_links_hold_a_comment_back_and_spam_gets_no_mail_and_a_reader_decides_nothing(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    links = " ".join(f"https://pills{number}.example/" for number in range(9))
    await sent(world, people, post, links)
    number = len(world.mails())

    id = the_one(world, SubmissionState.QUARANTINED)
    marked = await decide(admin, id, "spam")

    assert (marked.status_code, len(world.mails())) == (303, number)
    await sent(world, people, post, "Well done")
    _, token = world.read_key()
    await admin.post("/admin/sign-in", data={"key": token, "path": "/admin/"})

    address = f"/admin/page/submissions/{the_one(world)}"
    page = await admin.get(address)
    answer = await admin.post(f"{address}/accept", data={"csrf": "x"})

    assert "Accept and publish" not in page.text
    assert answer.status_code == 403
    assert shown_comments(world.context, post) == []


async def test_a_person_exports_and_deletes_comments_and_nothing_is_in_the_journal(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "One remark")
    await decide(admin, the_one(world), "accept")
    await sent(world, people, post, "Two remarks")
    exported = (await people.get("/submit/mine/export")).json()["submissions"]
    csrf = {"csrf": hidden(await people.get("/submit/mine"))}
    world.harvest()

    await people.post(f"/submit/mine/{the_one(world)}/withdraw", data={**csrf, "version": "1"})
    one = shown_comments(world.context, post)
    await people.post("/submit/mine/delete", data={**csrf, "sure": "yes"})

    assert sorted(text_of(item["content"]) for item in exported) == ["One remark", "Two remarks"]
    assert "Grace" not in str(exported)
    assert one
    assert (one[0][1], shown_comments(world.context, post)) == ("One remark", [])
    assert "remark" not in world.entries()
    assert "reader@example.org" not in world.entries()


async def test_a_changed_comment_waits_again_without_addresses_and_the_old_one_stays(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "One remark")
    id = the_one(world)
    await decide(admin, id, "accept")
    csrf = {"csrf": hidden(await people.get("/submit/mine"))}

    summary = (await people.post(f"/submit/mine/{id}/change", data=csrf)).headers["location"]
    question = summary.replace("summary", "content")
    was = hidden(await people.get(question), "was")
    await people.post(question, data={"was": was, "content": "Ask jane.doe@example.org"})
    world.clock.advance(timedelta(seconds=10))
    await people.post(summary)

    texts = shown_comments(world.context, post)
    assert texts
    assert ([text for _, text in texts], waiting(world)) == (["One remark"], ["Ask […]"])


async def test_nobody_withdraws_the_comment_of_another(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Mine", "one@example.org")
    id = the_one(world)
    await sent(world, people, post, "Yours", "two@example.org")
    form = {"csrf": hidden(await people.get("/submit/mine")), "version": "1"}

    assert (await people.post(f"/submit/mine/{id}/withdraw", data=form)).status_code == 404
    assert waiting(world) == ["Mine", "Yours"]
