"""Check the conditions of the alert rules, and queue messages when one begins or ends to hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

import structlog

from harvesters.ledger import outbox, prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Alert, Message
from harvesters.ledger.participation import SubmissionState
from harvesters.ledger.submissions import count_comments
from harvesters.notifications.delivery import Channels
from harvesters.notifications.rules import Rule
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from harvesters.runs.status_file import source_statuses
from languages.request_locale import use_language
from languages.translations import format_number, gettext, isolate
from vocab.freshness import Freshness, freshness
from vocab.provenance import SourceStatus

_GIGABYTE = 1_000_000_000
Found = Mapping[tuple[str, str], Reason]  # the reason of each alert, by rule and source

# How many submissions, comments and nominations wait for a person, by the condition of a rule.
_WAITING: Mapping[str, Callable[[Ledger, datetime], int]] = {
    "submission_waits": lambda ledger, _: submissions.waiting(ledger)[0],
    "comment_waits": lambda ledger, _: count_comments(ledger, SubmissionState.SUBMITTED),
    "nomination_waits": prizes.count_waiting,
}
_PAGES = {
    "alert_submission_waits": "submissions",
    "alert_comment_waits": "comments",
    "alert_nomination_waits": "prizes",
}

log = structlog.get_logger(component="notifications")


def update_alerts(context: HarvestContext, channels: Channels, rules: Sequence[Rule]) -> None:
    """Open an alert for each condition that holds now, and end those that hold no more.

    Messages are queued when an alert opens and when it ends, not in between, and none while it is
    silenced: if it is still open when the silence ends, its messages are queued then.
    """
    now, ledger = context.now(), context.ledger
    reasons, by_name = _find(context, rules, now), {rule.name: rule for rule in rules}
    known = {(alert.rule, alert.source) for alert in outbox.alerts(ledger, is_open=True)}
    for (rule, source), reason in reasons.items():
        if (rule, source) not in known:
            outbox.open_alert(ledger, rule, source, now, reason)
            log.info("alert opened", rule=rule, source=source or None, reason=reason.text)
    silences = outbox.silences(ledger, now)
    for alert in reversed(outbox.alerts(ledger, is_open=True)):
        is_silenced = any(silence.covers(alert.rule, alert.source) for silence in silences)
        opened = by_name.get(alert.rule)
        if (alert.rule, alert.source) not in reasons:
            messages = (
                write_messages(opened, alert, channels, now, is_over=True)
                if opened and alert.notified and not is_silenced
                else []
            )
            outbox.end_alert(ledger, alert.id, messages, now)
            log.info("alert ended", rule=alert.rule, source=alert.source or None)
        elif opened and not alert.notified and not is_silenced:
            outbox.notify_alert(ledger, alert.id, write_messages(opened, alert, channels, now), now)


def _find(context: HarvestContext, rules: Sequence[Rule], now: datetime) -> Found:
    statuses = source_statuses(context, now)
    reasons: dict[tuple[str, str], Reason] = {}
    for rule in rules:
        if rule.when == "disk_low":
            free = shutil.disk_usage(context.data).free / _GIGABYTE
            if free < rule.limit:
                reasons[rule.name, ""] = Reason(
                    "alert_disk_low", free=f"{free:.1f}", limit=f"{rule.limit:g}"
                )
            continue
        if rule.when in _WAITING:
            if count := _WAITING[rule.when](context.ledger, now):
                reasons[rule.name, ""] = Reason(f"alert_{rule.when}", count=count)
            continue
        for status in statuses:
            if rule.covers(status.source) and (reason := _reason(rule, status, context, now)):
                reasons[rule.name, status.source] = reason
    return reasons


def _reason(
    rule: Rule, status: SourceStatus, context: HarvestContext, now: datetime
) -> Reason | None:
    """Return why the rule's condition holds for a source, or None."""
    if status.marks.retired:
        return None
    if rule.when == "plan_waits" and status.plan:
        plan = context.ledger.run(status.plan)
        since = (plan.planned or plan.started) if plan else now
        waits = (now - since).total_seconds() / 3600 >= rule.limit
        return Reason("alert_plan_waits", run=status.plan, source=status.source) if waits else None
    if rule.when == "failing" and status.marks.failures and status.marks.failures >= rule.limit:
        failures: dict[str, str | int] = {"source": status.source, "count": status.marks.failures}
        return Reason("alert_failing", **failures, reason=status.reason or "")
    if rule.when == "late" and freshness(status.marks, now) is Freshness.LATE and status.attempt:
        return Reason("alert_late", source=status.source)
    run = context.ledger.run(status.run) if rule.when == "withheld" and status.run else None
    fetched, withheld = (run.fetched, run.counts.get("withheld", 0)) if run else (0, 0)
    if fetched and withheld * 100 / fetched > rule.limit:
        shares: dict[str, str | int] = {
            "source": status.source,
            "count": withheld,
            "total": fetched,
        }
        return Reason("alert_withheld", **shares)
    return None


def write_messages(
    rule: Rule, alert: Alert, channels: Channels, now: datetime, *, is_over: bool = False
) -> list[Message]:
    """Return an alert's messages, in the rule's language: one for each address."""
    with use_language(rule.language):
        text = alert.reason.describe(gettext, format_number, isolate)
        state = gettext("Over") if is_over else gettext("Alert")
        subject = f"{channels.name}: {state}: {alert.source or rule.name}"
        url = _page(alert, channels)
        lines = [f"{state}: {text}", "", f"{gettext('Rule')}: {rule.name}", *([url] if url else [])]
    data = {
        "type": "alert.ended" if is_over else "alert.opened",
        "timestamp": now.isoformat(),
        "data": {
            "rule": rule.name,
            "condition": rule.when,
            "source": alert.source or None,
            "code": alert.reason.code,
            "values": dict(alert.reason.values),
            "text": text,
            "since": alert.since.isoformat(),
            "url": url,
        },
    }
    return outbox.messages_to(rule, f"alert {rule.name}", subject, lines, data)


def _page(alert: Alert, channels: Channels) -> str | None:
    """Return the address of the admin page where a person acts, None without a public URL."""
    if not channels.public_url:
        return None
    run = alert.reason.values.get("run")
    path = (
        f"runs/{quote(str(run), safe='')}"
        if run
        else f"sources/{quote(alert.source, safe='')}"
        if alert.source
        else _PAGES.get(alert.reason.code, "system")
    )
    return f"{channels.public_url}/admin/page/{path}"
