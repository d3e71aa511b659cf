from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from rows import each

from harvesters.ledger import submissions
from harvesters.ledger.participation import SubmissionState
from harvesters.ledger.submissions import comments, prune_comments
from harvesters.participation.comments import MAX_TEXT, MAX_WAITING, shown_comments

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
    form = {"about": post, "text": text, **({"send": "yes"} if fields else {}), **fields}
    return await people.post("/submit/comments", data=form)


async def sent(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str, text: str, mail: str = "reader@example.org"
) -> httpx.Response:  # fmt: skip
    """Send a comment without a session, open the link in the message, and return the response to
    the link.
    """
    people.cookies.clear()
    world.clock.advance(timedelta(seconds=1))
    answer = await comment(people, post, text, mail=mail)
    assert answer.status_code == 200, answer.text
    return await people.post(world.link("comments/confirm"))


async def decide(
    admin: httpx.AsyncClient, id: str, decision: str, note: str = "", state: str = "submitted"
) -> httpx.Response:
    form = {"csrf": hidden(await admin.get(f"/admin/page/comments?state={state}")), "note": note}
    return await admin.post(f"/admin/page/comments/{id}/{decision}", data=form)


def waiting(world: SubmissionWorld) -> list[str]:
    return [item.text for item in comments(world.ledger, state=SubmissionState.SUBMITTED)]


def the_one(world: SubmissionWorld, state: SubmissionState = SubmissionState.SUBMITTED) -> str:
    (comment,) = comments(world.ledger, state=state)
    return comment.id


async def test_a_comment_is_confirmed_accepted_and_shown_as_text(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    first = await comment(people, post, HOSTILE)
    draft = await comment(people, post, HOSTILE, mail="reader@example.org")
    link = world.link("comments/confirm")
    linked, before = await people.get(link), waiting(world)
    confirmed, again = await people.post(link), await people.post(link)
    unseen = shown_comments(world.context, post)
    queue = await admin.get("/admin/page/comments")
    accepted = await decide(admin, the_one(world), "accept")

    assert codes(first, draft, linked, confirmed, again, accepted) == [200, 200, 200, 303, 410, 303]
    assert 'name="mail"' in first.text
    assert "&lt;script&gt;" in first.text  # the form has the text, so that it can be sent again
    assert (before, unseen) == ([], [])
    assert "Hello" in queue.text
    assert all("<script>" not in page.text for page in (first, linked, queue))
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
    answer = await comment(people, about, "Well done", mail="reader@example.org")
    event = await people.get(f"/submit/comments?about={post.replace('post/', 'event/', 1)}")

    assert codes(answer, event) == [404, 404]


@each("text", ["", "   \n", "\u200b\u202e", "<p></p>", "x" * (MAX_TEXT + 1)])
async def test_an_empty_and_a_long_text_are_refused_with_the_form(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str, text: str
) -> None:
    answer = await comment(people, post, text, mail="reader@example.org")

    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert world.mails() == []


async def test_forms_of_other_sites_and_of_programs_and_where_comments_are_off_are_refused(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    form = {"about": post, "text": "Well done", "send": "yes", "mail": "reader@example.org"}
    other, spam = {"Sec-Fetch-Site": "cross-site"}, {"website": "https://pills.example/"}

    foreign = await people.post("/submit/comments", data=form, headers=other)
    trapped = await people.post("/submit/comments", data={**form, **spam})

    world.context.comments = False
    page = await people.get(f"/submit/comments?about={post}")
    answer = await comment(people, post, "Well done", mail="reader@example.org")

    assert codes(foreign, trapped, page, answer) == [403, 422, 503, 503]
    assert (world.mails(), shown_comments(world.context, post)) == ([], None)


async def test_a_session_sends_at_once_but_not_without_its_token(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "First")
    world.clock.advance(timedelta(seconds=1))
    page = await comment(people, post, "Second")

    without = await comment(people, post, "Second", send="yes")
    answer = await comment(people, post, "Second", csrf=hidden(page))
    own = await people.get("/submit/mine")

    assert (without.status_code, answer.status_code) == (403, 303)
    assert 'name="mail"' not in page.text
    assert waiting(world) == ["First", "Second"]
    assert "<p>Second</p>" in own.text


async def test_a_comment_is_rejected_with_a_reason_which_its_author_gets_also_after_it_was_accepted(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Well done")
    accepted = the_one(world)
    await decide(admin, accepted, "accept")
    texts = shown_comments(world.context, post)
    await decide(admin, accepted, "reject", "A person is named.", state="accepted")
    await sent(world, people, post, "Nonsense")
    id = the_one(world)

    silent = await decide(admin, id, "reject")
    rejected = await decide(admin, id, "reject", "It is about something else.")
    twice = await decide(admin, id, "accept", state="rejected")
    own = await people.get("/submit/mine")

    assert codes(silent, rejected, twice) == [422, 303, 409]
    assert "It is about something else." in world.mails()[-1][1]
    assert "It is about something else." in own.text
    assert texts
    assert shown_comments(world.context, post) == []


async def test_links_hold_a_comment_back_and_spam_gets_no_mail_and_a_reader_decides_nothing(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    links = " ".join(f"https://pills{number}.example/" for number in range(9))
    await sent(world, people, post, links)
    number = len(world.mails())
    queue = await admin.get("/admin/page/comments")

    id = the_one(world, SubmissionState.QUARANTINED)
    marked = await decide(admin, id, "spam", state="quarantined")

    assert "pills" not in queue.text
    assert (marked.status_code, len(world.mails())) == (303, number)
    await sent(world, people, post, "Well done")
    _, token = world.read_key()
    await admin.post("/admin/sign-in", data={"key": token, "path": "/admin/"})

    page = await admin.get("/admin/page/comments")
    answer = await admin.post(f"/admin/page/comments/{the_one(world)}/accept", data={"csrf": "x"})

    assert "Accept and publish" not in page.text
    assert answer.status_code == 403
    assert shown_comments(world.context, post) == []


async def test_a_person_exports_and_deletes_comments_and_nothing_is_in_the_journal(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "One remark")
    await decide(admin, the_one(world), "accept")
    await sent(world, people, post, "Two remarks")
    exported = (await people.get("/submit/mine/export")).json()["comments"]
    csrf = {"csrf": hidden(await people.get("/submit/mine"))}

    await people.post(f"/submit/comments/{the_one(world)}/delete", data=csrf)
    one = shown_comments(world.context, post)
    await people.post("/submit/mine/delete", data={**csrf, "sure": "yes"})

    assert [item["text"] for item in exported] == ["One remark", "Two remarks"]
    assert "Grace" not in str(exported)
    assert one
    assert (one[0][1], shown_comments(world.context, post)) == ("One remark", [])
    assert all(comments(world.ledger, state=state) == [] for state in SubmissionState)
    assert "remark" not in world.entries()
    assert "reader@example.org" not in world.entries()


async def test_nobody_deletes_the_comment_of_another(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Mine", "one@example.org")
    id = the_one(world)
    people.cookies.clear()
    await sent(world, people, post, "Yours", "two@example.org")
    csrf = {"csrf": hidden(await people.get("/submit/mine"))}

    assert (await people.post(f"/submit/comments/{id}/delete", data=csrf)).status_code == 404
    assert waiting(world) == ["Mine", "Yours"]


async def test_old_drafts_and_refused_comments_are_deleted_and_their_author_stays_with_others(
    world: SubmissionWorld, people: httpx.AsyncClient, admin: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "Kept")
    await decide(admin, the_one(world), "accept")
    await sent(world, people, post, "Refused")
    await decide(admin, the_one(world), "reject", "No.")
    people.cookies.clear()
    await comment(people, post, "Draft", mail="other@example.org")
    world.clock.advance(timedelta(days=91))
    now, month, quarter = world.clock.now(), timedelta(days=30), timedelta(days=90)

    prune_comments(world.ledger, now - month, now - quarter)
    submissions.prune(world.ledger, now, now - month, now - quarter)

    left = [item.text for state in SubmissionState for item in comments(world.ledger, state=state)]
    assert left == ["Kept"]
    assert submissions.submitter_of(world.ledger, mail="reader@example.org") is not None


async def test_one_person_cannot_fill_the_queue(
    world: SubmissionWorld, people: httpx.AsyncClient, post: str
) -> None:
    await sent(world, people, post, "0")
    csrf = hidden(await comment(people, post, "x"))

    answers = [await comment(people, post, str(n), csrf=csrf) for n in range(1, MAX_WAITING + 1)]

    assert codes(*answers) == [303] * (MAX_WAITING - 1) + [422]
