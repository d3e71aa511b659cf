from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from rows import each
from typer.main import get_group

from command_line.commands import prizes as prize_commands
from command_line.settings import Settings
from harvesters.errors import PrizeError
from harvesters.ledger import operators, prizes
from harvesters.ledger.models import Scope
from harvesters.ledger.participation import Edition, Stage
from harvesters.participation import contest
from harvesters.participation.contest import parse_edition
from vocab.iris import BASE, Iris

from .conftest import (
    ROOT,
    SITE,
    SubmissionWorld,
    administering,
    bearer,
    codes,
    hidden,
    person,
    submitted,
    visiting,
)

COMMANDS: Any = get_group(prize_commands)
EDITION = """
title = { en = "WSIS Prizes 2027", fr = "Prix SMSI 2027" }
year = 2027
opens = {day[0]}
closes = {day[10]}
nominees = {day[20]}
vote_opens = {day[20]}
vote_closes = {day[30]}
results = {day[40]}
champions = 1
winners = 1
[[criteria]]
code = "impact"
weight = 3
label = { en = "Results and impact" }
[[criteria]]
code = "partnerships"
label = { en = "Partnerships" }
[[special]]
code = "youth"
label = { en = "Youth prize" }
"""


def edition_text(first: date) -> str:
    text = EDITION
    for number in (0, 10, 20, 30, 40):
        text = text.replace(f"{{day[{number}]}}", f"{first + timedelta(days=number)}")
    return text


@pytest.fixture
async def people(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application, with an edition that opened yesterday."""
    announced(world, "2027", -1)
    definition = (ROOT / "sources" / "prizes.toml").read_text(encoding="utf-8")
    enabled = definition.replace("enabled   = false", "enabled   = true")
    (world.folder / "sources" / "prizes.toml").write_text(enabled, encoding="utf-8")
    async with visiting(world) as opened:
        yield opened


async def published_initiative(
    world: SubmissionWorld, people: httpx.AsyncClient, title: str = "Village telecentres"
) -> str:
    page = f"https://{title.lower().replace(' ', '-')}.example/"
    ministry = bearer(world.tokens["Ministry"])
    id = (await submitted(people, headers=ministry, title={"en": title}, page=[page]))["id"]
    world.accept(id)
    world.harvest()
    return f"{SITE}/id/initiative/submissions/{id}"


async def nominated(
    people: httpx.AsyncClient, who: dict[str, str], initiative: str, category: str = "C4", edition: str = "2027"
) -> httpx.Response:  # fmt: skip
    form = {"initiative": initiative, "category": category, "reason": "Forty villages learn."}
    return await people.post(f"/submissions/prizes/{edition}/nominations", json=form, headers=who)


async def nomination(world: SubmissionWorld, people: httpx.AsyncClient, **how: str) -> str:
    initiative = await published_initiative(world, people, **how)
    created = await nominated(people, bearer(world.tokens["Ministry"]), initiative)
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


def edition_of(world: SubmissionWorld) -> Edition:
    edition = prizes.find_edition(world.ledger, "2027")
    assert edition
    return edition


def announced(world: SubmissionWorld, name: str, days: int) -> None:
    file = world.folder / f"{name}.toml"
    first = world.clock.now().date() + timedelta(days=days)
    file.write_text(edition_text(first), encoding="utf-8")
    prizes.put_edition(world.ledger, parse_edition(file.stem, file.read_text(encoding="utf-8")))


def to_day(world: SubmissionWorld, name: str) -> None:
    day = edition_of(world).days()[name]
    world.clock.advance(datetime(day.year, day.month, day.day, 12, tzinfo=UTC) - world.clock.now())


def decide(world: SubmissionWorld, id: str, stage: Stage, special: str | None = None) -> None:
    now = world.clock.now()
    contest.set_stage(world.ledger, edition_of(world), id, stage, special, now, BASE)


async def test_a_nomination_becomes_the_winner_by_http_alone(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id, contest_path = await nomination(world, people), "/submissions/prizes/2027"
    prizes.add_expert(world.ledger, "2027", "expert@example.org")
    path = f"{contest_path}/nominations/{id}"

    to_day(world, "closes")
    expert = await person(world, people, "expert@example.org")
    scores = {"scores": {"impact": 5, "partnerships": 1}}
    scored = await people.put(f"{path}/review", json=scores, headers=expert)
    decide(world, id, Stage.NOMINATED)
    world.harvest("prizes")
    early = (await people.get(contest_path)).json()["nominations"], world.entries()

    to_day(world, "vote_opens")
    world.harvest("prizes")
    voted = []
    for mail in ("voter@example.org", "voter@example.org", "voter+again@example.org"):
        voter = await person(world, people, mail)
        voted.append(await people.put(f"{path}/vote", headers=voter))
    ranked = contest.rank(world.ledger, edition_of(world))

    to_day(world, "vote_closes")
    decide(world, id, Stage.WINNER, "youth")
    world.harvest("prizes")
    listed, before_results = (await people.get(contest_path)).json()["nominations"], world.entries()
    to_day(world, "results")
    world.harvest("prizes")

    assert scored.status_code == 200, scored.text
    assert (early[0], "AwardReceipt" in early[1]) == ([], False)
    assert codes(*voted) == [200, 200, 200]
    assert [(row.score, row.reviews, row.votes) for row in ranked] == [(4.0, 1, 1)]
    assert (listed[0]["stage"], "special" in listed[0]) == ("nominated", False)
    assert "prize-stage/winner" not in before_results
    assert "Youth" not in before_results
    receipt, edition = f"<{Iris(BASE).record('prizes', f'2027-{id}')}#prize-1>", edition_of(world)
    lines = [line for line in world.entries().splitlines() if line.startswith(f"A {receipt}")]
    event = Iris(BASE).thing("event", "prizes", "2027")
    for words in (
        ("prizeStage", "prize-stage/winner"), ("dc/terms/date", f"{edition.results}"), ("isPartOf", event), ("Youth prize",),
    ):  # fmt: skip
        assert any(all(word in line for word in words) for line in lines), words
    assert f"<{event}>" in world.entries()
    for secret in ("voter@", "expert@", prizes.voter("voter@example.org")):
        assert secret not in world.entries()


async def test_rules_refuse_with_their_reason_and_a_link_leads_to_the_open_edition(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    ministry = bearer(world.tokens["Ministry"])
    initiative = await published_initiative(world, people)

    answers = {
        "no such initiative": await nominated(people, ministry, f"{SITE}/id/initiative/submissions/none"),
        "no address": await nominated(people, ministry, "Village telecentres"),
        "no category": await nominated(people, ministry, initiative, "C12"), "first": await nominated(people, ministry, initiative),
        "second category": await nominated(people, bearer(world.tokens["University"]), initiative, "C5"),
        "no token": await nominated(people, {}, initiative),
    }  # fmt: skip

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "no such initiative": 422, "no address": 422, "no category": 422, "first": 201, "second category": 409, "no token": 401,
    }  # fmt: skip
    assert "one category only" in answers["second category"].json()["detail"]
    address = "/submit/prizes/nominate?initiative=https%3A%2F%2Fx.example%2F1"
    opened = await people.get(address)
    to_day(world, "closes")
    assert (await nominated(people, ministry, initiative)).status_code == 409
    closed = await people.get(address)
    assert opened.headers["location"] == address.replace("/nominate", "/2027/nominate")
    assert (closed.status_code, closed.headers["location"]) == (303, "/submit/prizes")


async def test_a_category_has_one_winner_who_cannot_be_nominated_again(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    ministry = bearer(world.tokens["Ministry"])
    initiative = await published_initiative(world, people)
    created = (await nominated(people, ministry, initiative)).json()
    other = await nomination(world, people, title="Radio schools")
    to_day(world, "closes")
    decide(world, created["id"], Stage.WINNER)
    with pytest.raises(Exception, match="has 1 of this stage already"):
        decide(world, other, Stage.CHAMPION)
    announced(world, "2028", 0)

    answer = await nominated(people, ministry, initiative, edition="2028")

    assert (answer.status_code, "won before" in answer.text) == (409, True)


async def test_an_expert_with_a_conflict_cannot_score(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id = await nomination(world, people)
    prizes.add_expert(world.ledger, "2027", "expert@example.org")
    path, review = f"/submissions/prizes/2027/nominations/{id}/review", "/submissions/prizes/2027/review"  # fmt: skip
    points = {"scores": {"impact": 5, "partnerships": 5}}
    early = await people.put(path, json=points, headers=await person(world, people, "expert@example.org"))  # fmt: skip
    to_day(world, "closes")
    expert, stranger = [await person(world, people, f"{name}@example.org") for name in ("expert", "stranger")]  # fmt: skip

    answers = [
        await people.put(path, json=scores, headers=who)
        for scores, who in (
            (points, stranger), ({"scores": {"impact": 6, "partnerships": 1}}, expert), ({"scores": {"impact": 5}}, expert),
            (points, expert), ({"conflict": True}, expert), (points, expert),
        )
    ]  # fmt: skip
    listed = await people.get(review, headers=expert)

    assert early.status_code == 409
    assert [answer.status_code for answer in answers] == [404, 422, 422, 200, 200, 409]
    assert listed.json()[0]["review"] == {"conflict": True, "scores": {}}
    ranked = contest.rank(world.ledger, edition_of(world))
    assert [(row.score, row.conflicts) for row in ranked] == [(None, 1)]
    assert (await people.get(review, headers=stranger)).status_code == 404


async def test_votes_outside_their_days_and_of_organizations_are_refused(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id = await nomination(world, people)
    path = f"/submissions/prizes/2027/nominations/{id}/vote"
    early = await people.put(path, headers=await person(world, people, "voter@example.org"))
    to_day(world, "vote_opens")
    voter = await person(world, people, "voter@example.org")

    answers = [
        await people.put(path, headers=who) for who in (voter, bearer(world.tokens["Ministry"]), {})
    ]

    assert early.status_code == 409
    # The nomination was not chosen for the vote, so a voter receives 404.
    assert [answer.status_code for answer in answers] == [404, 409, 401]


async def test_a_person_exports_and_deletes_votes_and_reviews(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id = await nomination(world, people)
    path = f"/submissions/prizes/2027/nominations/{id}"
    prizes.add_expert(world.ledger, "2027", "jane@example.org")
    to_day(world, "closes")
    jane = await person(world, people)
    await people.put(f"{path}/review", json={"conflict": True}, headers=jane)
    decide(world, id, Stage.NOMINATED)
    to_day(world, "vote_opens")
    jane = await person(world, people)
    await people.put(f"{path}/vote", headers=jane)

    exported = (await people.get("/submissions/account", headers=jane)).json()["prizes"]
    await people.delete("/submissions/account", headers=jane)

    assert exported["votes"] == {"2027 C4": id}
    assert [item["conflict"] for item in exported["reviews"]] == [True]
    assert (prizes.votes(world.ledger, "2027"), prizes.experts(world.ledger, "2027")) == ({}, [])
    (review,) = prizes.reviews(world.ledger, "2027")
    assert review.expert.startswith("deleted ")


async def test_who_voted_and_reviewed_is_forgotten_a_year_after_the_results(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    initiative = await published_initiative(world, people)
    id = (await nominated(people, await person(world, people), initiative)).json()["id"]
    path, name = f"/submissions/prizes/2027/nominations/{id}", "jane@example.org"
    prizes.add_expert(world.ledger, "2027", name)
    to_day(world, "closes")
    scores = {"scores": {"impact": 5, "partnerships": 3}}
    await people.put(f"{path}/review", json=scores, headers=await person(world, people))
    decide(world, id, Stage.NOMINATED)
    to_day(world, "vote_opens")
    await people.put(f"{path}/vote", headers=await person(world, people))

    known: list[tuple[bool, bool, bool]] = []
    for days in (0, 1, 1):
        prizes.forget_persons(world.ledger, edition_of(world).results + timedelta(days=days))
        reviewed = [item.expert for item in prizes.reviews(world.ledger, "2027")] == [name]
        votes = prizes.votes_of(world.ledger, name, "2027") == {"2027 C4": id}
        known.append((reviewed, votes, prizes.experts(world.ledger, "2027") == [name]))

    assert known == [(True, True, True), (False, False, False), (False, False, False)]
    assert [item.submitter for item in prizes.nominations(world.ledger, edition="2027")] == [None]
    assert prizes.votes(world.ledger, "2027") == {id: 1}
    assert [row.score for row in contest.rank(world.ledger, edition_of(world))] == [4.5]


async def test_an_edition_is_unknown_before_it_is_announced(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    announced(world, "2028", 1)

    answers = [await people.get(f"/submissions/prizes{path}") for path in ("/2028", "")]

    assert answers[0].status_code == 404
    assert [item["id"] for item in answers[1].json()] == ["2027"]


@each(
    "before, after, message",
    [
        ("year = 2027", 'year = "2027"', "year: Input should be a valid integer"),
        ("champions = 1", "champions = 0", "champions: Input should be greater than or equal to 1"),
        ("weight = 3", "weight = -1", "criteria.0.weight: Input should be greater than 0"),
        ("champions = 1", "champion = 1", "champion: Extra inputs are not permitted"),
        ("champions = 1", 'categories = ["C12"]', "categories: write a list of these: C1, C2"),
        ("title = {", "title = ", "invalid TOML"),
        ('label = { en = "Partnerships" }', 'label = "Partnerships"', "criteria.1.label: Input should be a valid dictionary"),
        ("vote_closes = ", "announced = ", "write both days, or none"),
        ("closes = 2027-01-11", "closes = 2026-01-11", "closes is before opens"),
    ],
)  # fmt: skip
def test_a_wrong_edition_is_refused_with_its_name_and_the_key(
    before: str, after: str, message: str
) -> None:
    text = edition_text(date(2027, 1, 1)).replace(before, after, 1)

    with pytest.raises(PrizeError, match=message) as caught:
        parse_edition("2027", text)

    assert str(caught.value).startswith("2027: ")


def test_the_edition_of_2015_is_shipped_and_added_before_there_is_a_data_directory(
    tmp_path: Path,
) -> None:
    file = ROOT / "sources" / "prizes" / "2015.toml"
    edition = parse_edition(file.stem, file.read_text(encoding="utf-8"))
    settings = command_settings(tmp_path / "data")

    answer = CliRunner().invoke(COMMANDS, ["add", str(file)], obj=settings)

    assert (edition.source, len(edition.categories)) == ("wsis-prizes-2015", 18)
    assert edition.days()["opens"] == date(2014, 12, 15)
    assert edition.days()["results"] == date(2015, 5, 26)
    assert answer.exit_code == 0
    assert answer.output.strip() == "edition 2015: 18 categories, 2014-12-15 to 2015-05-26"


def command_settings(data: Path) -> Settings:
    return Settings(data, data, BASE, f"sqlite:///{data}/ledger.sqlite", frozenset(), "", "rust")


async def test_commands_add_an_edition_name_experts_and_decide(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id, file = await nomination(world, people), world.folder / "2027.toml"
    # The days of this edition are past, so that nominations are closed.
    file.write_text(edition_text(world.clock.now().date() - timedelta(days=15)), encoding="utf-8")

    def command(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(COMMANDS, [*words], obj=command_settings(world.folder))
        return answer.exit_code, f"{answer.output}{answer.exception or ''}"

    answers = [
        command("add", str(file)),
        command("expert", "2027", "Expert@example.org"),
        command("expert", "2027", "nobody"),
        command("stage", "2027", id, "nominated"),
        command("stage", "2026", id, "nominated"),
    ]
    printed = command("show", "2027", "--json")[1]

    assert [code for code, _ in answers] == [0, 0, 1, 0, 1]
    assert "known are 2027" in answers[4][1]
    assert prizes.experts(world.ledger, "2027") == ["expert@example.org"]
    assert id in printed
    assert '"nominated"' in printed
    assert [entry.what for entry in operators.audit_entries(world.ledger, 3)] == [
        "prize stage decided", "prize expert added", "prize edition added",
    ]  # fmt: skip


async def sign_in(world: SubmissionWorld, people: httpx.AsyncClient, mail: str) -> None:
    people.headers["Origin"] = SITE
    await people.post("/submissions/confirmations", json={"mail": mail})
    assert (await people.post(world.link())).status_code == 303


async def test_forms_refuse_with_the_reason_and_keep_what_was_written_and_withdraw(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    initiative = await published_initiative(world, people)
    path, ministry = "/submit/prizes/2027/nominate", bearer(world.tokens["Ministry"])
    stranger = await people.get(path)
    await sign_in(world, people, "jane@example.org")
    csrf = hidden(await people.get(path))
    form = {
        "csrf": csrf, "website": "", "initiative": initiative, "category": "C4", "reason": "Forty <b>villages</b>",
    }  # fmt: skip
    wrong = ({"initiative": "elsewhere"}, {"website": "spam"}, {"csrf": "other"}, {"reason": ""})

    refused = [await people.post(path, data={**form, **change}) for change in wrong]
    accepted = await people.post(path, data=form)
    listed = await people.get(path)
    review = await people.get("/submit/prizes/2027/review")
    (created,) = prizes.nominations(world.ledger, edition="2027")
    others = f"/submissions/prizes/2027/nominations/{created.id}"
    by_another = await people.delete(others, headers=ministry)
    withdrawn = await people.post(f"{path}/{created.id}/withdraw", data={"csrf": csrf})

    assert 'name="mail"' in stranger.text
    assert codes(*refused) == [422, 422, 403, 422]
    assert "Forty &lt;b&gt;villages&lt;/b&gt;" in refused[0].text
    assert "Village telecentres" in listed.text
    assert codes(accepted, review, by_another, withdrawn) == [303, 404, 404, 303]
    assert prizes.nominations(world.ledger, edition="2027") == []


async def test_an_expert_scores_and_a_person_votes_on_the_pages(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id, path = await nomination(world, people), "/submit/prizes/2027"
    prizes.add_expert(world.ledger, "2027", "jane@example.org")
    to_day(world, "closes")
    await sign_in(world, people, "jane@example.org")
    listed = await people.get(f"{path}/review")
    form = {"csrf": hidden(await people.get(f"{path}/review/{id}")), "score-impact": "5"}
    reviewed = [
        await people.post(f"{path}/review/{id}", data={**form, **more})
        for more in ({}, {"score-partnerships": "1"})
    ]
    decide(world, id, Stage.NOMINATED)
    to_day(world, "vote_opens")
    anonymous = await people.get(path, headers={"Cookie": ""})
    await sign_in(world, people, "jane@example.org")
    vote = {"csrf": hidden(await people.get(path))}

    voted = [
        await people.post(f"{path}/vote/{id}", data={**vote, "website": trap})
        for trap in ("spam", "")
    ]
    printed = await people.get(path)

    assert f"/review/{id}" in listed.text
    assert codes(*reviewed, *voted) == [422, 303, 422, 303]
    assert "Confirm your address to vote" in anonymous.text
    assert f"/vote/{id}" not in anonymous.text
    assert "Your vote" in printed.text


async def test_a_contest_is_run_from_the_admin_pages(
    world: SubmissionWorld, people: httpx.AsyncClient
) -> None:
    id = await nomination(world, people)
    _, key = operators.create_key(world.ledger, "Joan", Scope.ADMIN, world.clock.now())
    async with administering(world) as admin:
        path, signing_in = "/admin/page/prizes", {"key": key, "path": "/admin/"}
        await admin.post("/admin/sign-in", data=signing_in)
        early = await admin.get(f"{path}/2027")
        to_day(world, "closes")
        await admin.post("/admin/sign-in", data=signing_in)
        form = {"csrf": hidden(await admin.get(path))}
        text = edition_text(world.clock.now().date())
        added = await admin.post(path, data={**form, "edition": "2028", "text": text})
        wrong = await admin.post(path, data={**form, "edition": "2029", "text": "year = 1"})
        expert = {**form, "mail": "Jane@example.org", "do": "add"}
        await admin.post(f"{path}/2027/experts", data=expert)
        decision = {**form, "nomination": id, "stage": "winner", "special": "youth"}
        decided = await admin.post(f"{path}/2027/stage", data=decision)
        page = await admin.get(f"{path}/2027")

    assert "Stages are decided after nominations close." in early.text
    assert codes(added, wrong, decided) == [303, 422, 303]
    assert "opens: Field required" in wrong.text
    assert prizes.find_edition(world.ledger, "2028") is not None
    assert prizes.experts(world.ledger, "2027") == ["jane@example.org"]
    (row,) = prizes.nominations(world.ledger, edition="2027")
    assert (row.stage, row.special) == (Stage.WINNER, "youth")
    for word in ("Village telecentres", "Youth prize", "jane@example.org"):
        assert word in page.text
