from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from rows import each

from harvesters.ledger import submissions
from harvesters.ledger.participation import SubmissionState, Submitter
from harvesters.participation.drafts import QUESTIONS
from languages.translations import LANGUAGES
from vocab.iris import BASE

from .conftest import SITE, SubmissionWorld, codes, hidden, submitted

KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
ANSWERS: dict[str, dict[str, object]] = {
    "type": {"type": "Initiative"}, "title": {"_language": "en", "title": "Village telecentres"},
    "description": {"description": "Computers and courses in forty villages."},
    "organization": {"publisher-name": "Ministry of Information", "publisher-classification": "government", "publisher-country": KENYA},
    "partners": {"partner": "University of the Coast\r\nThe Fund", "funder": ""},
    "countries": {"country": ["http://metadata.un.org/sdg/codes/geoArea/404", "http://metadata.un.org/sdg/codes/geoArea/834"]},
    "action-lines": {"actionLine": ["C4"]}, "goals": {"goal": ["4", "5"]}, "targets": {"target": ["4.4", "5.b"]},
    "why": {"why-4": "Girls learn to use computers.", "why-5": ""}, "dates": {"start": "2025-01-01", "end": "", "status": "ongoing"},
    "picture": {}, "links": {"page": "https://telecentres.example/", "license": "https://creativecommons.org/licenses/by/4.0/"},
}  # fmt: skip


async def fill(
    browser: httpx.AsyncClient, answers: dict[str, dict[str, object]] = ANSWERS
) -> httpx.Response:
    page = await browser.post("/submit", data={"website": ""})
    questions = []
    while (name := page.url.path.rpartition("/")[2]) != "summary":
        questions.append(name)
        fields = {"was": hidden(page, "was"), **answers.get(name, {})}
        page = await browser.post(page.url.path, data=fields)
        assert page.status_code == 200, page.text
    assert questions == list(answers)
    return page


async def reply(
    page: httpx.Response, browser: httpx.AsyncClient, fields: dict[str, str]
) -> httpx.Response:
    return await browser.post(page.url.path, data={"was": hidden(page, "was"), **fields})


async def begin(browser: httpx.AsyncClient, kind: str = "Initiative") -> httpx.Response:
    page = await browser.post("/submit", data={"website": ""})
    return await reply(page, browser, {"type": kind})


async def send(
    browser: httpx.AsyncClient, path: str, mail: str = "jane@example.org"
) -> httpx.Response:
    return await browser.post(path, data={"mail": mail, "website": ""})


def checked(page: httpx.Response) -> list[str]:
    return re.findall(r'value="([^"]+)" checked', page.text)


async def sent(world: SubmissionWorld, browser: httpx.AsyncClient) -> httpx.Response:
    summary = await fill(browser)
    world.clock.advance(timedelta(minutes=1))
    await send(browser, summary.url.path)
    return await browser.post(world.link())


async def test_the_form_leads_to_a_submission_of_a_confirmed_address(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    summary = await fill(browser)
    world.clock.advance(timedelta(minutes=1))
    mailbox = await send(browser, summary.url.path)
    confirmed = await browser.get(world.link())
    nothing_yet = submissions.waiting(world.ledger)
    page, again = await browser.post(world.link()), await browser.post(world.link())

    (item,) = submissions.in_states(world.ledger, [SubmissionState.SUBMITTED], 10)
    assert "The rules find no fault." in summary.text
    assert ">Kenya</dd>" in page.text
    assert "geoArea" not in page.text
    assert "Open your mailbox" in mailbox.text
    assert "Village telecentres" in confirmed.text
    assert nothing_yet == (0, None)
    assert (codes(page, again), page.url.path) == ([200, 410], f"/submit/mine/{item.id}")
    assert item.content == {
        "type": "Initiative", "title": {"en": "Village telecentres"}, "description": {"en": "Computers and courses in forty villages."},
        "publisher": {"name": "Ministry of Information", "classification": "government", "country": KENYA},
        "partner": [{"name": "University of the Coast"}, {"name": "The Fund"}],
        "country": ["http://metadata.un.org/sdg/codes/geoArea/404", "http://metadata.un.org/sdg/codes/geoArea/834"], "actionLine": ["C4"],
        "goal": ["4", "5"], "target": ["4.4", "5.b"], "why": {"4": {"en": "Girls learn to use computers."}}, "start": "2025-01-01",
        "status": "ongoing", "page": ["https://telecentres.example/"], "license": "https://creativecommons.org/licenses/by/4.0/",
    }  # fmt: skip


_FIRST = ("title", "description")
_COMMON = ("organization", "partners", "countries", "action-lines", "goals")


@pytest.mark.parametrize(
    ("kind", "names"),
    [("Event", [*_FIRST, *_COMMON, "dates", "venue", "picture", "links"]), ("Document", [*_FIRST, *_COMMON, "dates", "picture", "links"]),
     ("Post", [*_FIRST, "content", *_COMMON, "dates", "picture", "links"])],
)  # fmt: skip
async def test_each_type_has_its_questions(
    browser: httpx.AsyncClient, kind: str, names: list[str]
) -> None:
    more: dict[str, dict[str, object]] = {
        "title": {"title": "Open day", "_language": "en"}, "venue": {"venue": "Town hall"}, "dates": {"start": "2026-05-01"},
        "content": {"content": "We opened."},
    }  # fmt: skip
    answers = {name: more.get(name, {}) for name in names}

    assert 'name="mail"' in (await fill(browser, {"type": {"type": kind}, **answers})).text


@each(
    "name, answer, message",
    [("type", {}, "The type is one of"), ("title", {"title": ""}, "Write a title."),
     ("title", {"title": "x" * 301}, "It has 301 characters; at most 300 are possible."),
     ("dates", {"start": "31.5.2026"}, "Write the date as year-month-day"),
     ("links", {"page": "telecentres.example"}, "Write a web address that begins with https://."),
     ("organization", {"publisher-classification": "government"}, "Name the organization.")],
)  # fmt: skip
async def test_a_message_stands_beside_its_field(
    browser: httpx.AsyncClient, name: str, answer: dict[str, str], message: str
) -> None:
    page = await browser.post("/submit", data={"website": ""})
    if name != "type":
        page = await reply(page, browser, {"type": "Initiative"})
        page = await browser.get(page.url.path.replace("/title", f"/{name}"))

    refused = await reply(page, browser, answer)

    assert refused.status_code == 422
    fault = rf'<p class="fault" id="[\w-]+-fault" role="alert">{re.escape(message)}'
    assert re.search(fault, refused.text)
    assert 'aria-invalid="true"' in refused.text
    assert all(value in refused.text for value in answer.values())


async def test_a_draft_is_opened_by_its_link_on_another_device(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await begin(browser, "Event")
    page = await reply(page, browser, {"title": "Journée", "_language": "fr"})
    title = page.url.path.replace("/description", "/title")

    browser.cookies.clear()
    elsewhere = await browser.get(title, headers={"Accept-Language": "ar"})
    world.clock.advance(timedelta(days=31))
    submissions.prune(world.ledger, world.clock.now(), world.clock.now() - timedelta(days=30))
    late = await browser.get(page.url.path)

    assert 'value="Journée"' in elsewhere.text
    assert '<html lang="ar" dir="rtl">' in elsewhere.text
    assert late.status_code == 410


async def test_two_people_answer_one_question_and_the_second_sees_the_first(
    browser: httpx.AsyncClient,
) -> None:
    page = await begin(browser, "Event")

    first = await reply(page, browser, {"title": "Open day"})
    second = await reply(page, browser, {"title": "Closed day"})
    third = await reply(second, browser, {"title": "Closed day"})

    assert [answer.status_code for answer in (first, second, third)] == [200, 412, 200]
    assert "<ins>Open day</ins>" in second.text
    assert 'value="Closed day"' in second.text


async def test_a_program_is_refused(world: SubmissionWorld, browser: httpx.AsyncClient) -> None:
    evil = {"Origin": "https://evil.example"}
    trapped = await browser.post("/submit", data={"website": "https://spam.example"})
    at_once = await send(browser, (await fill(browser)).url.path)
    foreign = await browser.post("/submit", data={"website": ""}, headers=evil)

    assert [answer.status_code for answer in (trapped, at_once, foreign)] == [422, 422, 403]
    assert world.mails() == []


async def test_a_change_waits_again_and_a_withdrawal_deletes(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await sent(world, browser)
    path, id = page.url.path, page.url.path.rpartition("/")[2]
    world.accept(id)

    form = {"csrf": hidden(await browser.get(path))}
    summary = await browser.post(f"{path}/change", data=form)
    question = await browser.get(summary.url.path.replace("/summary", "/title"))
    title = {"_language": "en", "title": "Fifty telecentres", "then": "summary"}
    summary = await reply(question, browser, title)
    world.clock.advance(timedelta(minutes=1))
    changed = await browser.post(summary.url.path, data={"website": ""})
    stored = world.stored(id)
    form = {name: hidden(changed, name) for name in ("csrf", "version")}
    withdrawn = await browser.post(f"{path}/withdraw", data=form)

    gone = world.stored(id)
    assert codes(changed, withdrawn) == [200, 200]
    assert (stored.state.value, stored.title) == ("submitted", "Fifty telecentres")
    assert stored.published
    assert stored.published["title"] == {"en": "Village telecentres"}
    assert (gone.state.value, gone.content, gone.published) == ("withdrawn", {}, None)


async def test_a_change_by_two_people_shows_the_difference_and_loses_nothing(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await sent(world, browser)
    csrf, links = {"csrf": hidden(page)}, list[str]()
    for title in ("First", "Second"):
        links.append((await browser.post(f"{page.url.path}/change", data=csrf)).url.path)
        question = await browser.get(links[-1].replace("/summary", "/title"))
        await reply(question, browser, {"title": title, "_language": "en"})
    world.clock.advance(timedelta(minutes=1))

    first = await browser.post(links[0], data={"website": ""})
    second = await browser.post(links[1], data={"website": ""})
    third = await browser.post(links[1], data={"replace": "yes"})

    assert [answer.status_code for answer in (first, second, third)] == [200, 412, 200]
    assert '<del dir="auto">en: First</del>' in second.text
    assert '<ins dir="auto">en: Second</ins>' in second.text
    assert world.stored(page.url.path.rpartition("/")[2]).title == "Second"
    world.clock.advance(timedelta(hours=12))  # the session ends
    expired = await browser.get(page.url.path)
    assert ('name="mail"' in expired.text, "Second" in expired.text) == (True, False)


async def test_a_person_sees_nothing_of_another_and_needs_the_token_of_the_form(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await sent(world, browser)
    await browser.post("/submit/mine", data={"mail": "john@example.org", "website": ""})
    forged = await browser.post(f"{page.url.path}/change", data={"csrf": "x"})
    await browser.post(world.link())

    other = await browser.get(page.url.path)
    mine = await browser.get("/submit/mine")

    assert (forged.status_code, other.status_code) == (403, 404)
    assert "Village telecentres" not in mine.text


async def test_a_person_downloads_and_deletes_everything(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    await sent(world, browser)
    form = {"csrf": hidden(await browser.get("/submit/mine"))}

    exported = (await browser.get("/submit/mine/export")).json()
    unsure = await browser.post("/submit/mine/delete", data=form)
    deleted = await browser.post("/submit/mine/delete", data={**form, "sure": "yes"})

    assert (exported["submitter"]["mail"], len(exported["submissions"])) == ("jane@example.org", 1)
    assert (unsure.status_code, deleted.status_code) == (422, 200)
    assert submissions.submitter_of(world.ledger, mail="jane@example.org") is None


async def test_duplicates_are_shown_before_sending(
    world: SubmissionWorld, browser: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client))["id"]
    world.accept(id)

    summary = await fill(browser)

    assert "Is it one of these?" in summary.text
    assert f'href="/record/submissions/{id}"' in summary.text


@each("language", LANGUAGES)
async def test_every_page_is_in_the_language_of_the_browser(
    browser: httpx.AsyncClient, language: str
) -> None:
    browser.headers["Accept-Language"] = language
    start, page = await browser.get("/submit"), await begin(browser)
    pages = [
        await browser.get(page.url.path.replace("/title", f"/{item.name}"))
        for item in QUESTIONS
        if item.name not in ("why", "content", "venue")
    ]

    assert all(f'<html lang="{language}"' in item.text for item in (start, *pages))
    assert ("<h1>What is its title?</h1>" in page.text) == (language == "en")


async def test_a_draft_that_cannot_be_sent_is_opened_after_its_address_is_confirmed(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await begin(browser)
    world.clock.advance(timedelta(minutes=1))
    await send(browser, page.url.path.replace("/title", "/summary"))

    confirmed = await browser.post(world.link())

    assert (confirmed.status_code, confirmed.url.path.endswith("/summary")) == (200, True)
    assert "Answer what is missing, then you can send it." in confirmed.text
    assert submissions.waiting(world.ledger) == (0, None)


async def test_two_requests_store_one_submitter(world: SubmissionWorld) -> None:
    for name in ("one", "other"):
        submitter = Submitter(name, None, "Ministry", "en", world.clock.now())
        assert submissions.ensure_submitter(world.ledger, submitter).id == "one"


async def test_a_demo_without_a_mail_server_shows_the_link(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    world.context.channels = replace(world.context.channels, mail=None)
    refused = await send(browser, "/submit/mine")
    world.context.demo = True

    response = await send(browser, "/submit/mine")
    by_http = await browser.post("/submissions/confirmations", json={"mail": "jane@example.org"})

    link = re.search(r'href="http://site\.example(/submit/confirm/[^"]+)"', response.text)
    assert link
    mine = await browser.post(link[1])
    assert refused.status_code == 503
    assert (mine.url.path, world.mails()) == ("/submit/mine", [])
    assert by_http.json()["state"] == "shown"
    assert by_http.json()["link"].startswith(f"{SITE}/submit/confirm/")


async def test_goals_that_the_text_names_are_offered_first_and_not_ticked(
    browser: httpx.AsyncClient,
) -> None:
    page = await begin(browser)
    link = page.url.path.removesuffix("/title")
    page = await reply(page, browser, {"title": "Clinics", "_language": "en"})
    text = "It serves SDG 3, target 9.c and WSIS action line C7: e-health."
    await reply(page, browser, {"description": text})

    goals, lines = await browser.get(f"{link}/goals"), await browser.get(f"{link}/action-lines")
    await reply(goals, browser, {"goal": "3"})
    after = await browser.get(f"{link}/goals")

    offered = re.findall(r'type="checkbox" name="(?:goal|actionLine)" value="([^"]+)"', goals.text)
    assert offered == ["3", "9", "1", "2", *(str(number) for number in range(4, 18) if number != 9)]
    assert "Your text says: “target 9.c”" in goals.text
    assert " checked" not in goals.text
    first_line = re.search(r'value="([^"]+)"', lines.text.partition('type="checkbox"')[2])
    assert first_line
    assert first_line[1] == "C7-ehea"
    assert checked(after) == ["3"]
    assert "SDG 3" not in after.text


async def test_targets_follow_the_goals_that_were_chosen(browser: httpx.AsyncClient) -> None:
    text = {"description": "It serves target 5.c of the goals."}
    summary = await fill(browser, {**ANSWERS, "description": dict(text)})
    link = summary.url.path.removesuffix("/summary")
    targets = await browser.get(f"{link}/targets")

    fewer = await reply(await browser.get(f"{link}/goals"), browser, {"goal": "5"})
    after = await browser.get(f"{link}/summary")
    none = await reply(await browser.get(f"{link}/goals"), browser, {})

    offered = re.findall(r'name="target" value="([^"]+)"', targets.text)
    assert (offered[0], len(offered)) == ("5.c", 19)
    assert {code.partition(".")[0] for code in offered} == {"4", "5"}
    assert "Your text says: “target 5.c”" in targets.text
    assert sorted(checked(targets)) == ["4.4", "5.b"]
    assert (fewer.url.path, checked(fewer)) == (f"{link}/targets", ["5.b"])
    assert "4.4 " not in after.text
    assert "Girls learn" not in after.text
    assert none.url.path == f"{link}/dates"


async def test_rules_are_shown_beside_the_field_when_the_answer_arrives(
    browser: httpx.AsyncClient,
) -> None:
    link = (await fill(browser)).url.path.removesuffix("/summary")
    wrong = {"start": "2025-05-01", "end": "2024-01-01"}

    reversed_dates = await reply(await browser.get(f"{link}/dates"), browser, wrong)
    await reply(await browser.get(f"{link}/description"), browser, {"description": ""})
    without, stored = await browser.get(f"{link}/summary"), await browser.get(f"{link}/dates")
    goes_on = await reply(stored, browser, wrong)
    by_script = await reply(stored, browser, {**wrong, "end": "2023-01-01", "seen": "yes"})

    assert (reversed_dates.status_code, reversed_dates.url.path) == (200, f"{link}/dates")
    hint = r'value="2025-05-01"[^>]*>\s*<p class="hint[^"]*" data-live="start" aria-live="polite">[^<]+</p>'
    for page in (reversed_dates, stored):
        assert re.search(hint, page.text)
    assert goes_on.url.path == by_script.url.path == f"{link}/picture"
    missing = r'<b>What is it about\?</b>.*?</dt>\s*<dd class="(quiet|fault)">[^<]+</dd>'
    assert re.search(missing, without.text, re.DOTALL)


async def test_an_answer_is_checked_while_it_is_typed_and_not_stored(
    browser: httpx.AsyncClient,
) -> None:
    question = await begin(browser)
    link = question.url.path.removesuffix("/title")

    async def check(name: str, origin: str = SITE, **fields: str) -> httpx.Response:
        return await browser.post(f"{link}/{name}/check", data=fields, headers={"Origin": origin})

    long = await check("title", title="x" * 301, _language="en")
    empty = await check("title", title="", _language="en")
    foreign = await check("title", "https://evil.example", title="x")
    unknown = await check("weather")
    await reply(question, browser, {"title": "Telecentres", "_language": "en"})
    rule = await check("dates", start="2025-05-01", end="2024-01-01")

    assert f'data-check="{link}/title/check"' in question.text
    (message,) = long.json()["messages"]
    assert (message["field"], message["severity"]) == ("title", "Violation")
    assert message["text"].startswith("It has 301 characters")
    assert [each["text"] for each in empty.json()["messages"]] == ["Write a title."]
    assert [answer.status_code for answer in (foreign, unknown)] == [403, 404]
    assert [each["field"] for each in rule.json()["messages"]] == ["start"], rule.text
    assert 'value="2024-01-01"' not in (await browser.get(f"{link}/dates")).text
    assert "script-src 'self'" in question.headers["Content-Security-Policy"]
    script = await browser.get("/submit/form.js")
    assert script.headers["Content-Type"].startswith("text/javascript")


async def test_a_name_of_the_register_is_taken_if_the_person_wants_it(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    known = {
        "Ministry of Information": [{"id": f"{BASE}id/organization/a/ministry", "name": "Ministry of Information"}],
        "University of the Coast": [{"id": f"{BASE}id/organization/{source}/coast", "name": "Coast University"} for source in "ab"],
    }  # fmt: skip
    world.context.organizations = lambda name: known.get(name, [])

    summary = await fill(browser)
    path = summary.url.path.replace("/summary", "/use-name")
    decision = {"before": "University of the Coast", "after": "Coast University"}
    after = await browser.post(path, data=decision)
    made_up = await browser.post(path, data={**decision, "after": "Evil Inc"})

    link = '<a href="/id/organization/a/ministry">in the register</a>'
    assert f"<bdi>Ministry of Information</bdi>: {link}" in summary.text
    assert "Is “University of the Coast” one of these?" in summary.text
    assert (after.status_code, after.url.path) == (200, summary.url.path)
    assert "Coast University\nThe Fund" in after.text
    assert summary.text.count('name="after" value="Coast University"') == 1
    assert "one of these" not in after.text
    assert made_up.status_code == 422
