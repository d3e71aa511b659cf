"""Report to registries what their last runs did not publish, and to followers what is new."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from harvesters.inspection.source_report import report_source
from harvesters.ledger import outbox
from harvesters.ledger.models import Message, Run, State
from harvesters.ledger.outbox import REPORT_TOPIC
from harvesters.ledger.participation import Subscription
from harvesters.notifications.delivery import MAIL, Channels
from harvesters.runs.context import HarvestContext
from harvesters.source import Source
from languages.translations import format_number, gettext, isolate, use_language
from shapes.rules import message, remedy, rules

_ENDED = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE, State.FAILED, State.HELD)
_WRONG = (State.INCOMPLETE, State.FAILED, State.HELD)
_UNPUBLISHED = ("withheld", "unreadable", "duplicate")

log = structlog.get_logger(component="notifications")


def send_reports(
    context: HarvestContext,
    channels: Channels,
    sources: Iterable[Source],
    checked: MutableMapping[str, str],
) -> None:
    """Queue the reports of runs that ended since the last call.

    *checked* maps each source to its run that was checked last, so that a report is computed once.
    """
    for source in sources:
        _check_source(context, channels, source, checked)


def _check_source(
    context: HarvestContext, channels: Channels, source: Source, checked: MutableMapping[str, str]
) -> None:
    notify, ledger = source.notify, context.ledger
    if notify.reports == "never" or not (notify.mail or notify.webhook):
        return
    run = ledger.last_run(source.name, _ENDED, fetched_only=True)
    if run is None or checked.get(source.name) == run.id:
        return
    last = outbox.newest_message(ledger, f"{REPORT_TOPIC}{source.name}")
    previous = last.data.get("data", {}) if last else {}
    if previous.get("run") != run.id and _is_wanted(source, run):
        report = _report(source, run, context)
        digest = _digest(report)
        if notify.reports != "change" or digest != previous.get("digest"):
            outbox.queue_messages(
                ledger,
                _report_messages(source, run, report, digest, channels, context.iris.base),
                context.now(),
            )
            log.info("report queued", source=source.name, run=run.id)
    checked[source.name] = run.id


def _is_wanted(source: Source, run: Run) -> bool:
    if source.notify.reports != "errors":
        return True
    return run.state in _WRONG or any(run.counts.get(name, 0) for name in _UNPUBLISHED)


def _report(source: Source, run: Run, context: HarvestContext) -> dict[str, Any]:
    """Return the content of a report: the outcome, and the records that were not published, by rule
    and the publisher's own field.
    """
    report = report_source(
        source,
        context.ledger,
        context.journal,
        context.iris.base,
        context.data / "archive",
        context.pool.name,
    )
    values = asdict(report) if report else {"withheld": (), "fields": {}}
    reason = "" if run.state not in _WRONG else run.reason or ""
    withheld = [rule for rule in values["withheld"] if rule["records"]]
    return {
        "outcome": run.state.value,
        "reason": reason,
        "withheld": withheld,
        "fields": values["fields"],
    }


def _digest(report: dict[str, Any]) -> str:
    """Return a digest of a report without its times; a run without changes counts as one with
    changes.
    """
    outcome = (
        "ok"
        if report["outcome"] in (State.COMMITTED.value, State.UNCHANGED.value)
        else report["outcome"]
    )
    rules = sorted((rule["rule"], rule["path"], rule["records"]) for rule in report["withheld"])
    return sha256(json.dumps([outcome, rules]).encode()).hexdigest()


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=select_autoescape(["html"]),
    )
    environment.globals.update(gettext=gettext, format_number=format_number)
    return environment


def _render(template: str, **values: object) -> str:
    """Write a text in the current language by its template, without its last line end."""
    return _templates().get_template(template).render(values)


def _report_messages(
    source: Source, run: Run, report: dict[str, Any], digest: str, channels: Channels, base: str
) -> list[Message]:
    page = f"{channels.public_url}/source/{source.name}/report" if channels.public_url else None
    language, shapes = source.notify.language, {rule.name: iri for iri, rule in rules(base).items()}
    with use_language(language):
        about = {"source": source, "run": run, "report": report, "page": page, "isolate": isolate}
        of_rules = {"shapes": shapes, "message": message, "remedy": remedy}
        text = _render("report.txt", **about, **of_rules, language=language, base=base)
        outcome = gettext(report["outcome"])
    data = {
        "type": "source.report",
        "timestamp": (run.ended or run.started).isoformat(),
        "data": {"source": source.name, "run": run.id, "digest": digest, "url": page, **report},
    }
    subject = f"{channels.name}: {source.name}: {outcome}"
    return outbox.messages_to(source.notify, f"{REPORT_TOPIC}{source.name}", subject, [text], data)


MAX_LISTED = 50  # things of each kind of change that a mail lists
MAX_SENT = 500  # things of each kind of change in a webhook


def write_confirmation(item: Subscription, channels: Channels) -> Message:
    """Return the message with the link that confirms a subscription."""
    link = f"{channels.public_url}/follow/confirm/{item.secret}"
    with use_language(item.language):
        lines = [
            gettext("Somebody, probably you, gave this address to %(name)s.")
            % {"name": channels.name},
            gettext("Open this link if you want to follow %(title)s. It works for 24 hours:")
            % {"title": item.title},
            link,
            gettext("If it was not you, ignore this message: the address is deleted then."),
        ]
        subject = f"{channels.name}: {gettext('Confirm that you follow %(title)s') % {'title': item.title}}"
    data = {
        "type": "search.confirm",
        "timestamp": item.created.isoformat(),
        "data": {**_about(item, channels), "confirm": link},
    }
    return Message(
        item.channel,
        item.address,
        item.topic,
        subject,
        "\n\n".join(lines) + "\n",
        {} if item.channel == MAIL else data,
    )


def write_digest(
    item: Subscription,
    changes: Mapping[str, Sequence[Mapping[str, str]]],
    position: int,
    channels: Channels,
    now: datetime,
) -> Message | None:
    """Return the message that lists the ``new``, ``changed`` and ``removed`` things at a journal
    entry, each with its ``id``, ``title`` and ``url``; None if there are none.
    """
    total = sum(map(len, changes.values()))
    if not total:
        return None
    about = _about(item, channels)
    with use_language(item.language):
        subject = f"{channels.name}: {item.title}: {gettext('Changes')}: {format_number(total)}"
        text = _render("changes.txt", changes=changes, most=MAX_LISTED, **about)
    data = {
        **about,
        "entry": position,
        **{kind: rows[:MAX_SENT] for kind, rows in changes.items()},
        "counts": {kind: len(rows) for kind, rows in changes.items()},
    }
    body: dict[str, Any] = {"type": "search.changed", "timestamp": now.isoformat(), "data": data}
    return Message(
        item.channel,
        item.address,
        item.topic,
        subject,
        text + "\n",
        {"unsubscribe": about["unsubscribe"]} if item.channel == MAIL else body,
    )


def _about(item: Subscription, channels: Channels) -> dict[str, str]:
    return {
        "search": f"{channels.public_url}/follow?{item.search}",
        "title": item.title,
        "frequency": item.frequency,
        "unsubscribe": f"{channels.public_url}/follow/stop/{item.secret}",
    }
