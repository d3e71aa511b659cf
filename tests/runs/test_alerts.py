from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit
from projects import DEFINITION
from rows import each
from structlog.testing import capture_logs

from harvesters.errors import HarvestError
from harvesters.ledger import outbox, prizes, submissions
from harvesters.ledger.models import Silence
from harvesters.ledger.participation import (
    Criterion,
    Edition,
    Nomination,
    Stage,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from harvesters.notifications.alerts import (
    FILE,
    Rule,
    RulesError,
    load_rules,
    parse_rules,
    update_alerts,
)
from harvesters.notifications.delivery import Channels
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source
from journal.outage import Outage
from vocab.iris import BASE

CHANNELS = Channels(name="Stocktake", public_url="https://stocktake.example")


def rules(text: str) -> list[Rule]:
    return parse_rules(f'[[rule]]\nname = "it"\nmail = ["ops@example.org"]\n{text}')


def subjects(context: HarvestContext) -> list[str]:
    return [queued.subject for queued in reversed(outbox.messages(context.ledger))]


def held_plan(source: Source, context: HarvestContext, registry: Any) -> str:
    harvest(source, context)
    registry.projects.clear()
    return harvest(source, context).run.id


@pytest.fixture
def context(context: HarvestContext, tmp_path: Path, source: Source) -> HarvestContext:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "projects.toml").write_text(tomlkit.dumps(DEFINITION), encoding="utf-8")
    return replace(context, source_dir=tmp_path / "sources")


def test_moderators_are_notified_of_what_waits(context: HarvestContext) -> None:
    ledger, now = context.ledger, context.now()
    waiting = Submission(
        "s1", None, SubmissionState.SUBMITTED, 1, {}, None, "Clinics", "en", now, now, waiting_since=now
    )  # fmt: skip
    comment = replace(waiting, id="c1", post="post/blog/1")
    day = now.date()
    edition = Edition(
        id="2027", title={"en": "Prizes"}, year=2027, announced=day, opens=day, closes=day + timedelta(9), nominees=day + timedelta(9),
        results=day + timedelta(20), categories=["C4"], criteria=[Criterion(code="impact", label={"en": "Impact"})],
    )  # fmt: skip
    nomination = Nomination(
        "n1", "2027", f"{BASE}id/x", {}, "C4", Stage.SUBMITTED, None, "", None, now
    )
    conditions = ("submission_waits", "comment_waits", "nomination_waits")
    waiting_rules = [
        replace(rule, name=when, when=when)
        for when in conditions
        for rule in rules('when = "late"')
    ]

    update_alerts(context, CHANNELS, waiting_rules)
    assert subjects(context) == []
    for item in (waiting, comment):
        submissions.add(ledger, (item, SubmissionEvent("submitted", "ann", now)))
    prizes.put_edition(ledger, edition)
    prizes.add_nomination(ledger, nomination)
    update_alerts(context, CHANNELS, waiting_rules)

    texts = [queued.text for queued in reversed(outbox.messages(ledger))]
    assert subjects(context) == [f"Stocktake: Alert: {name}" for name in conditions]
    assert "submissions that wait for a moderator: 2" in texts[0]
    assert "https://stocktake.example/admin/page/submissions" in texts[0]
    prizes.set_stage(ledger, "n1", Stage.NOMINATED, None)
    update_alerts(context, CHANNELS, waiting_rules)
    assert subjects(context)[3:] == ["Stocktake: Over: nomination_waits"]


def test_an_alert_is_sent_once_when_it_opens_and_once_when_it_ends(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    run, results = held_plan(source, context, registry), rules('when = "plan_waits"')

    for _ in range(3):
        update_alerts(context, CHANNELS, results)
    operations.reject(context, source, run, by="ann")
    for _ in range(3):
        update_alerts(context, CHANNELS, results)

    opened, ended = reversed(outbox.messages(context.ledger))
    assert subjects(context) == ["Stocktake: Alert: projects", "Stocktake: Over: projects"]
    assert f"https://stocktake.example/admin/page/runs/{run}" in opened.text
    assert (opened.data["type"], ended.data["type"]) == (
        "alert.opened",
        "alert.ended",
    )
    assert opened.data["data"]["values"] == {"run": run, "source": "projects"}
    assert outbox.alerts(context.ledger, is_open=True) == []


def test_a_rule_about_failures_counts_them(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.answer = lambda _: httpx.Response(404)
    results, sent = rules('when = "failing"\nlimit = 2'), []
    for _ in range(3):
        with pytest.raises(HarvestError):
            harvest(source, context)
        update_alerts(context, CHANNELS, results)
        sent.append(len(outbox.messages(context.ledger)))

    assert sent == [0, 1, 1]
    assert "404" in outbox.messages(context.ledger)[0].text


def test_a_rule_about_withheld_records_has_a_limit_in_percent(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[0]["name"] = ""
    harvest(source, context)

    update_alerts(context, CHANNELS, rules('when = "withheld"\nlimit = 20'))
    below = subjects(context)
    update_alerts(context, CHANNELS, rules('when = "withheld"\nlimit = 5'))

    assert (below, subjects(context)) == ([], ["Stocktake: Alert: projects"])


def test_a_rule_about_the_disk_is_about_no_source(context: HarvestContext) -> None:
    update_alerts(context, CHANNELS, rules('when = "disk_low"\nlimit = 1000000'))

    (alert,) = outbox.alerts(context.ledger, is_open=True)
    assert (alert.source, alert.reason.values["limit"]) == ("", "1e+06")


def test_a_rule_has_its_sources_and_language_and_ends_its_alerts_without_a_message_when_removed(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    held_plan(source, context, registry)
    update_alerts(context, CHANNELS, rules('when = "plan_waits"\nsources = ["other-*"]'))
    assert outbox.alerts(context.ledger, is_open=True) == []

    update_alerts(context, CHANNELS, rules('when = "plan_waits"\nlanguage = "fr"'))
    assert len(outbox.alerts(context.ledger, is_open=True)) == 1
    update_alerts(context, CHANNELS, [])

    assert subjects(context) == ["Stocktake: Alerte: projects"]
    assert outbox.alerts(context.ledger, is_open=True) == []


def test_a_silenced_alert_is_sent_when_the_silence_ends(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    held_plan(source, context, registry)
    results, now = rules('when = "plan_waits"'), context.now()
    context.ledger.add(Silence(0, "", "projects", now + timedelta(hours=2), "ann", "maintenance"))

    update_alerts(replace(context, now=lambda: now), CHANNELS, results)
    during = subjects(context)
    update_alerts(replace(context, now=lambda: now + timedelta(hours=3)), CHANNELS, results)

    assert (during, subjects(context)) == ([], ["Stocktake: Alert: projects"])


def test_an_alert_that_ends_in_silence_is_never_sent(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    run, results = held_plan(source, context, registry), rules('when = "plan_waits"')
    context.ledger.add(Silence(0, "it", "", context.now() + timedelta(days=2), "ann", ""))

    update_alerts(context, CHANNELS, results)
    operations.reject(context, source, run, by="ann")
    update_alerts(context, CHANNELS, results)

    assert (subjects(context), outbox.alerts(context.ledger, is_open=True)) == ([], [])


@each(
    "text, fault",
    [("[[rule]", "alerts.toml: "), ("rules = 1", "unknown key 'rules'"), ('rule = "x"', "write each rule as a table"),
     ('[[rule]]\nwhen = "late"\nmail = ["a@b.org"]', "give it a name"),
     ('[[rule]]\nname = "x"\nwhen = "often"\nmail = ["a@b.org"]', "use one of plan_waits, failing"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nlimit = 1\nmail = ["a@b.org"]', "late has no limit"),
     ('[[rule]]\nname = "x"\nwhen = "late"', "name who is notified"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nmail = ["a@b.org\\nBcc: c@d.org"]', "write a mail address"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nwebhook = ["file:///etc/passwd"]', "write an http or https address"),
     ('[[rule]]\nname = "x"\nwhen = "disk_low"\nsources = ["a"]\nmail = ["a@b.org"]', "whole installation"),
     ('[[rule]]\nname = "x"\nwhen = "failing"\nlimit = true\nmail = ["a@b.org"]', "write a number from 0 up"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nlanguage = "de"\nmail = ["a@b.org"]', "use one of en, ar"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nmail = "a@b.org"', "mail is 'a@b.org'; write a list of texts"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nto = 1\nmail = ["a@b.org"]', "unknown key 'to'"),
     ('[[rule]]\nname = "x"\nwhen = "late"\nmail = ["a@b.org"]\n' * 2, "two rules have this name")],
)  # fmt: skip
def test_a_fault_in_the_rules_is_named(text: str, fault: str) -> None:
    with pytest.raises(RulesError) as raised:
        parse_rules(text)

    assert fault in str(raised.value)


def test_all_faults_are_named_at_once_and_rules_that_are_no_text_with_their_file(
    tmp_path: Path,
) -> None:
    with pytest.raises(RulesError) as raised:
        parse_rules('[[rule]]\nwhen = "x"\n[[rule]]\nname = "b"\nwhen = "late"\n')
    assert len(raised.value.faults) == 4
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")

    with pytest.raises(RulesError, match=r"alerts\.toml: cannot be read"):
        load_rules(tmp_path)


def test_wrong_rules_are_logged_once_and_stop_nothing(context: HarvestContext) -> None:
    (context.data / FILE).write_text("[[rule]", encoding="utf-8")
    outage = Outage("alerts not checked", "alerts are checked again")

    with capture_logs() as logs:
        for _ in range(2):
            with outage.watching(HarvestError):
                update_alerts(context, CHANNELS, load_rules(context.data))
    failures = outage.failures
    (context.data / FILE).unlink()
    with outage.watching(HarvestError):
        update_alerts(context, CHANNELS, load_rules(context.data))

    assert (failures, outage.failures) == (2, 0)
    assert [entry["event"] for entry in logs] == ["alerts not checked"]
