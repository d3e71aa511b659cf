from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from projects import DEFINITION, Harvester
from rows import each

from command_line.site import LedgerProblems
from harvesters.admin.context import AdminContext
from harvesters.errors import SourceDefinitionError
from harvesters.ledger import outbox
from harvesters.ledger.models import Run
from harvesters.ledger.participation import ProblemState, ReportedProblem
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications.delivery import Channels, deliver
from harvesters.runs.context import HarvestContext
from harvesters.runs.operations import approve, forget
from harvesters.runs.reported_problems import (
    MAX_OF_RECORD,
    ProblemsFullError,
    file_problem,
    reported_problem,
)
from harvesters.runs.run import harvest
from harvesters.source import Notify, Source, parse
from publisher.errors import StoreBusy

TEXT = "The title is of another project <script>"
NOTIFY = Notify(
    mail=("registry@example.org",),
    webhook=("https://registry.example/hook",),
    tracker="https://registry.example/issues",
)


def new_problem(
    context: HarvestContext, source: str, key: str, category: str = "title", address: str = ""
) -> ReportedProblem:
    now, state = context.now(), ProblemState.OPEN
    values = (0, source, key, category, TEXT, address or None, "fr", state, "", now, now)
    return ReportedProblem(*values)


def report(
    context: HarvestContext, key: str = "p1", category: str = "title", address: str = ""
) -> int | None:
    return file_problem(context, new_problem(context, "projects", key, category, address), NOTIFY)


def state(context: HarvestContext, number: int | None) -> ProblemState:
    problem = reported_problem(context.ledger, number or 0)
    assert problem is not None
    return problem.state


def test_a_problem_reaches_the_registry_and_is_then_sent(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context)
    number = report(context, address="reader@example.org")
    requests: list[httpx.Request] = []

    def registry(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    messages = outbox.messages(context.ledger)
    before = state(context, number)
    deliver(
        context.ledger,
        Channels(secret="s", network=NetworkSettings(transport=httpx.MockTransport(registry))),
        context.now,
    )

    assert {item.channel for item in messages} == {"mail", "webhook"}
    assert not any(
        "reader@example.org" in json.dumps([item.text, dict(item.data)]) for item in messages
    )
    text, issue = messages[-1].text, json.loads(requests[0].content)["data"]["issue"]
    assert (
        "https://registry.example/issues/new?title=Problem%201%20with%20the%20record%20p1%3A%20Title&body="
        in text
    )
    assert issue["title"] == "Problem 1 with the record p1: Title"
    assert TEXT in issue["body"]
    assert json.loads(requests[0].content)["data"]["text"] == TEXT
    assert (before, state(context, number)) == (ProblemState.OPEN, ProblemState.SENT)


@pytest.mark.parametrize(
    ("language", "title"),
    [("fr", "Problème 1 avec la notice p1 : Titre"), ("es", "Problema 1 con la ficha p1: Título"),
     ("ru", "Проблема 1 с записью p1: Название"), ("zh", "记录 p1 的问题 1：标题"),
     ("ar", "المشكلة 1 في القيد p1: العنوان")],
)  # fmt: skip
def test_the_registry_reads_in_the_language_of_its_definition(
    filled: Harvester, language: str, title: str
) -> None:
    notify = replace(NOTIFY, language=language)

    file_problem(filled.context, new_problem(filled.context, "projects", "p1"), notify)

    [mail] = [item for item in outbox.messages(filled.ledger) if item.channel == "mail"]
    assert mail.subject == f"Stocktake: {title}"
    assert "A reader" not in mail.text


def test_a_later_harvest_closes_only_what_it_changed(filled: Harvester) -> None:
    title = report(filled.context)
    goals = report(filled.context, category="classification")
    other = report(filled.context, "p2")
    filled.harvest(full=True)
    assert state(filled.context, title) is ProblemState.OPEN
    filled.registry.projects[0]["name"] = "Project 1, named rightly"

    run = filled.harvest().run

    states = [state(filled.context, number) for number in (title, goals, other)]
    assert states == [ProblemState.FIXED, ProblemState.OPEN, ProblemState.OPEN]
    fixed = reported_problem(filled.ledger, title or 0)
    assert fixed is not None
    assert fixed.run == run.id


def test_the_reader_hears_of_the_change_in_their_language_and_the_address_is_deleted(
    filled: Harvester,
) -> None:
    number = report(filled.context, address="reader@example.org")
    filled.registry.projects[0]["name"] = "Project 1, named rightly"

    harvest(filled.source, replace(filled.context, name="Registre national"))

    problem = reported_problem(filled.ledger, number or 0)
    newest = outbox.messages(filled.ledger, 1)[0]
    assert problem is not None
    assert problem.address is None
    assert (newest.address, newest.channel) == ("reader@example.org", "mail")
    assert newest.subject == "Registre national: Le problème que vous avez signalé"
    assert "La notice a été modifiée." in newest.text
    assert f"> {TEXT}" in newest.text
    assert newest.text.endswith(f"{filled.iris.base}problem/{number}\n")


def test_a_problem_with_a_source_or_a_page_is_open_until_a_person_answers(
    filled: Harvester,
) -> None:
    late, page = (
        new_problem(filled.context, source, key, "other", "reader@example.org")
        for source, key in (("projects", ""), ("", "/map"))
    )

    numbers = [
        file_problem(filled.context, late, NOTIFY),
        file_problem(filled.context, page, Notify()),
    ]
    filled.harvest(full=True)

    messages = outbox.messages(filled.ledger)
    [mail] = [message for message in messages if message.channel == "mail"]
    assert {state(filled.context, number) for number in numbers} == {ProblemState.OPEN}
    assert len(messages) == 2
    assert mail.address == "registry@example.org"
    assert filled.iris.source("projects") in mail.text
    assert "with this page" in mail.text
    assert "later harvest" not in mail.text


def test_a_removed_record_closes_its_problems(filled: Harvester) -> None:
    number = report(filled.context, category="personal")

    plan = forget(filled.context, filled.source, "p1", by="bob")
    assert isinstance(plan, Run)
    approve(filled.context, filled.source, plan.id, by="ann")

    assert state(filled.context, number) is ProblemState.FIXED
    assert report(filled.context) is None


def test_more_problems_of_one_record_than_the_limit_are_refused(filled: Harvester) -> None:
    for _ in range(MAX_OF_RECORD):
        report(filled.context)

    with pytest.raises(ProblemsFullError, match="too many"):
        report(filled.context)
    assert report(filled.context, "p2") is not None


def test_the_portal_names_record_and_page_and_sees_neither_text_nor_address(
    filled: Harvester, tmp_path: Path
) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    admin = AdminContext(
        filled.data, folder, f"sqlite:///{tmp_path}/ledger.sqlite", filled.iris.base,
        now=lambda: datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    problems = LedgerProblems(admin)

    number = problems.file("projects", "p1", "title", TEXT, "reader@example.org", "en")
    public = problems.find(number or 0)

    assert public is not None
    assert (public.state, public.category) == ("open", "title")
    assert public.record == filled.iris.record("projects", "p1")
    assert "reader" not in repr(public)
    assert TEXT not in repr(public)
    assert problems.file("projects", "none", "title", TEXT, "", "en") is None
    assert problems.find(999) is None
    of_page = problems.find(problems.file("", "/map", "other", TEXT, "", "en") or 0)
    assert problems.file("nobody", "", "other", TEXT, "", "en") is None
    assert of_page is not None
    assert of_page.record == f"{filled.iris.base}map"
    admin.close()


def test_without_a_ledger_none_is_found_and_none_is_taken(tmp_path: Path) -> None:
    problems = LedgerProblems(
        AdminContext(tmp_path, tmp_path, f"sqlite:///{tmp_path}/none.sqlite", "https://x.example/")
    )

    assert problems.find(1) is None
    with pytest.raises(StoreBusy):
        problems.file("projects", "p1", "title", TEXT, "", "en")


@each(
    "table, fault",
    [({"mail": ["no address"]}, "notify.mail is 'no address'; write a mail address"),
     ({"mail": ["a@b.org\nBcc: c@d.org"]}, "notify.mail is"), ({"webhook": ["ftp://x"]}, "notify.webhook is 'ftp://x'"),
     ({"tracker": 1}, "notify.tracker is 1"), ({"language": "de"}, "notify.language is 'de'; use one of en, ar"),
     ({"language": []}, "notify.language is []"), ({"reports": "daily"}, "use one of never, always, errors, change"),
     ({"maill": []}, "unknown key 'notify.maill'; did you mean 'mail'?")],
)  # fmt: skip
def test_a_faulty_table_notify_is_named(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(SourceDefinitionError) as caught:
        parse("projects", {**DEFINITION, "notify": table}, "projects.toml")

    assert fault in str(caught.value)


def test_the_table_notify_is_read() -> None:
    table = {"mail": "a@b.org", "webhook": ["https://b.org/hook"], "reports": "change"}

    assert parse("projects", {**DEFINITION, "notify": table}, "test").notify == Notify(
        ("a@b.org",), ("https://b.org/hook",), "", "change"
    )
