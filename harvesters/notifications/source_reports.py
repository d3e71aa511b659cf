"""Send a registry the report of a run, as its definition asks: always, on errors, or when the report
has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import structlog

from harvesters.inspection.source_report import report_source
from harvesters.ledger import outbox
from harvesters.ledger.models import Message, Run, State
from harvesters.ledger.outbox import REPORT_TOPIC
from harvesters.notifications.delivery import Channels
from harvesters.runs.context import HarvestContext
from harvesters.source import Source
from languages.request_locale import use_language
from languages.translations import format_number, gettext, isolate
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
    previous = last.message.data.get("data", {}) if last else {}
    if previous.get("run") != run.id and _is_wanted(source, run):
        report = _report(source, run, context)
        digest = _digest(report)
        if notify.reports != "change" or digest != previous.get("digest"):
            outbox.queue_messages(
                ledger,
                _messages(source, run, report, digest, channels, context.iris.base),
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


def _lines(source: Source, run: Run, report: dict[str, Any], base: str) -> Iterator[str]:
    """Yield the lines of a report in the current language: the outcome, then each rule with its
    remedy and examples.
    """
    language, shapes = source.notify.language, {rule.name: iri for iri, rule in rules(base).items()}
    yield f"{source.title}: {gettext('Run')} {run.id}: {gettext(report['outcome'])}"
    if report["reason"]:
        yield from (reason.describe(gettext, format_number, isolate) for reason in run.reasons)
    yield ""
    for rule in report["withheld"]:
        shape = shapes.get(rule["rule"], "")
        fields = next(
            (
                names
                for path, names in report["fields"].items()
                if rule["path"] and path.endswith(rule["path"])
            ),
            (),
        )
        named = f" ({gettext('Your field')}: {', '.join(fields)})" if fields else ""
        examples = ", ".join(example["key"] for example in rule["examples"])
        yield f"- {message(shape, language, base) or rule['message'] or rule['rule']}{named}"
        yield f"  {gettext('Records')}: {format_number(rule['records'])}"
        yield f"  {gettext('What to do')}: {remedy(shape, language, base) or gettext(rule['remedy'])}"
        yield f"  {gettext('Examples')}: {examples}"
    if not report["withheld"]:
        yield gettext("No record was withheld.")


def _messages(
    source: Source, run: Run, report: dict[str, Any], digest: str, channels: Channels, base: str
) -> list[Message]:
    page = f"{channels.public_url}/source/{source.name}/report" if channels.public_url else None
    with use_language(source.notify.language):
        lines = [*_lines(source, run, report, base)]
        lines += (
            ["", f"{gettext('All results, also remarks on published records')}: {page}"]
            if page
            else []
        )
        outcome = gettext(report["outcome"])
    data = {
        "type": "source.report",
        "timestamp": (run.ended or run.started).isoformat(),
        "data": {"source": source.name, "run": run.id, "digest": digest, "url": page, **report},
    }
    subject = f"{channels.name}: {source.name}: {outcome}"
    topic = f"{REPORT_TOPIC}{source.name}"
    return outbox.messages_to(source.notify, topic, subject, lines, data)
