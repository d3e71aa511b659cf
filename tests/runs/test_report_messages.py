from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import Harvester

from harvesters.errors import HarvestError
from harvesters.ledger import outbox
from harvesters.ledger.models import QueuedMessage
from harvesters.notifications.delivery import Channels
from harvesters.notifications.reports import send_reports
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Notify, Source

CHANNELS = Channels(name="Stocktake", public_url="https://stocktake.example")


class Mailing:
    def __init__(self, source: Source, context: HarvestContext, reports: str) -> None:
        self.source = replace(
            source, notify=Notify(mail=("registry@example.org",), reports=reports)
        )
        self.context, self.checked = context, dict[str, str]()

    def run(self) -> list[QueuedMessage]:
        """Harvest, send reports twice, and return the new messages."""
        before = len(outbox.messages(self.context.ledger))
        harvest(self.source, self.context, full=True)
        return self.look(before)

    def look(self, before: int) -> list[QueuedMessage]:
        for _ in range(2):
            send_reports(self.context, CHANNELS, [self.source], self.checked)
        messages = outbox.messages(self.context.ledger)
        return messages[: len(messages) - before]


def break_titles(registry: Any, *numbers: int) -> None:
    for number in numbers:
        registry.projects[number]["name"] = ""


def test_always_sends_one_report_for_each_run_and_never_none(harvester: Harvester) -> None:
    assert Mailing(harvester.source, harvester.context, "never").run() == []
    mailing = Mailing(harvester.source, harvester.context, "always")

    assert [len(mailing.run()) for _ in range(3)] == [1, 1, 1]


def test_on_errors_is_silent_until_records_are_withheld(harvester: Harvester) -> None:
    mailing = Mailing(harvester.source, harvester.context, "errors")
    quiet = mailing.run()
    break_titles(harvester.registry, 0)

    [queued] = mailing.run()

    assert quiet == []
    assert "  Records: 1\n" in queued.text
    assert "(Your field: name)" in queued.text
    assert "Examples: p1" in queued.text
    assert "https://stocktake.example/source/projects/report" in queued.text
    assert queued.data["type"] == "source.report"


def test_on_change_sends_nothing_while_the_same_is_wrong(harvester: Harvester) -> None:
    mailing = Mailing(harvester.source, harvester.context, "change")
    break_titles(harvester.registry, 0)
    first = mailing.run()
    harvester.registry.projects[5]["name"] = "Renamed, which no rule is about"
    same = mailing.run()
    break_titles(harvester.registry, 1)
    more = mailing.run()
    for number in (0, 1):
        harvester.registry.projects[number]["name"] = f"Project {number}"
    fixed = mailing.run()

    assert [len(messages) for messages in (first, same, more, fixed)] == [1, 0, 1, 1]
    assert "No record was withheld." in fixed[0].text


def test_a_restart_sends_no_report_again_even_after_a_long_time(harvester: Harvester) -> None:
    mailing = Mailing(harvester.source, harvester.context, "change")
    break_titles(harvester.registry, 0)
    [queued] = mailing.run()
    outbox.settle_message(harvester.ledger, queued.id, sent=harvester.context.now())
    outbox.prune_messages(harvester.ledger, harvester.context.now() + timedelta(days=400))

    mailing.checked.clear()

    assert mailing.look(1) == []


def test_a_failed_run_is_reported_with_its_reason(harvester: Harvester) -> None:
    mailing = Mailing(harvester.source, harvester.context, "errors")
    mailing.run()
    harvester.registry.answer = lambda _page: httpx.Response(404)

    with pytest.raises(HarvestError):
        harvest(mailing.source, harvester.context, full=True)

    [queued] = mailing.look(0)
    assert queued.subject == "Stocktake: projects: failed"
    assert "404" in queued.text


@pytest.mark.parametrize(
    ("language", "parts"),
    [("fr", ("Votre champ", "Il n'y a pas de titre.", "Notices: 1")), ("es", ("Su campo", "No hay título.", "Fichas: 1")),
     ("ru", ("Нет названия.", "Записи: 1")), ("zh", ("没有标题。", "记录: 1")), ("ar", ("لا يوجد عنوان.",))],
)  # fmt: skip
def test_the_report_is_in_the_language_of_the_definition(
    harvester: Harvester, language: str, parts: tuple[str, ...]
) -> None:
    break_titles(harvester.registry, 0)
    mailing = Mailing(harvester.source, harvester.context, "always")
    mailing.source = replace(
        mailing.source, notify=replace(mailing.source.notify, language=language)
    )

    [queued] = mailing.run()

    assert [part for part in parts if part not in queued.text] == []
    assert "What to do" not in queued.text
    assert "It has no title" not in queued.text
