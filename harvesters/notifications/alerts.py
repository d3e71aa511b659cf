"""Check the conditions of the alert rules, which are a TOML file in the data directory, and queue
messages when one begins or ends to hold.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from harvesters.errors import HarvestError
from harvesters.ledger import outbox, prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Alert, Message
from harvesters.ledger.participation import SubmissionState
from harvesters.ledger.submissions import count_comments
from harvesters.notifications.delivery import Channels
from harvesters.options import expected, located, not_one_of, suggestion
from harvesters.reasons import Reason, join_reasons
from harvesters.runs.context import HarvestContext
from harvesters.runs.status_file import source_statuses
from languages.translations import LANGUAGES, format_number, gettext, isolate, use_language
from vocab.addresses import is_mail_address
from vocab.freshness import Freshness, freshness
from vocab.iris import is_web
from vocab.provenance import SourceStatus

FILE = "alerts.toml"
MAX_BYTES = 40_000
EXAMPLE = """\
# Who is notified of what. Check it on the admin pages, or with a test message.
[[rule]]
name = "waiting"
when = "plan_waits"      # a change waits for approval
mail = ["operators@example.org"]

[[rule]]
name = "failing"
when = "failing"         # so many runs of a source failed one after the other
limit = 3
sources = ["*"]
webhook = ["https://chat.example.org/hooks/stocktake"]
language = "en"
"""
# Conditions, with the default of their limit; None: the condition has no limit.
CONDITIONS: Mapping[str, float | None] = {
    "plan_waits": 0,  # hours
    "failing": 3,  # consecutive failures
    "late": None,
    "withheld": 10,  # percent of the records of the last run
    "disk_low": 5,  # gigabytes free
    "submission_waits": None,
    "comment_waits": None,
    "nomination_waits": None,
}
# Conditions of the installation, not of a source.
GLOBAL = ("disk_low", "submission_waits", "comment_waits", "nomination_waits")
_KEYS = {"name", "when", "limit", "sources", "mail", "webhook", "language"}


class RulesError(HarvestError):
    """The rules are not valid; *faults* has a reason for each fault."""

    def __init__(self, faults: list[Reason]) -> None:
        super().__init__(join_reasons(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Rule:
    """The recipients of an alert about a condition; *sources* are names or patterns with ``*``."""

    name: str
    when: str
    limit: float
    sources: tuple[str, ...]
    mail: tuple[str, ...]
    webhook: tuple[str, ...]
    language: str

    def covers(self, source: str) -> bool:
        return any(fnmatchcase(source, pattern) for pattern in self.sources)


def load_rules(data: Path) -> list[Rule]:
    """Return the rules of a data directory; none without a file. Raises RulesError with all faults."""
    return parse_rules(read_rules(data))


def read_rules(data: Path) -> str:
    """Return the text of the rules, empty without a file; raise RulesError if it cannot be read."""
    file = data / FILE
    try:
        return file.read_bytes()[: MAX_BYTES + 1].decode() if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(
            [
                located(
                    str(file),
                    Reason("cannot be read: %(error)s; save it as UTF-8 text", error=str(error)),
                )
            ]
        ) from error


def parse_rules(text: str) -> list[Rule]:
    """Parse rules; raise RulesError with all their faults.

    >>> [rule.name for rule in parse_rules(EXAMPLE)]
    ['waiting', 'failing']
    """
    if len(text.encode()) > MAX_BYTES:
        raise RulesError([located(FILE, Reason("more than %(most)s bytes", most=MAX_BYTES))])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(
            [located(FILE, Reason("invalid TOML: %(error)s", error=str(error)))]
        ) from error
    tables = document.get("rule", [])
    unknown = sorted(set(document) - {"rule"})
    faults = [
        located(
            FILE,
            Reason(
                "unknown key %(name)s; %(suggestion)s",
                name=repr(name),
                suggestion=suggestion(name, ["rule"]),
            ),
        )
        for name in unknown
    ]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError([*faults, located(FILE, Reason("write each rule as a table [[rule]]"))])
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        name = table.get("name", "")
        wrong = [*_faults(table)]
        if not wrong and any(rule.name == name for rule in rules):
            wrong = [Reason("two rules have this name")]
        named = Reason("rule %(name)s", name=repr(name or number))
        faults += (located(FILE, located(named, fault)) for fault in wrong)
        if not wrong:
            rules.append(_rule(table))
    if faults:
        raise RulesError(faults)
    return rules


def _rule(table: Mapping[str, Any]) -> Rule:
    when = table["when"]
    return Rule(
        table["name"],
        when,
        float(table.get("limit", CONDITIONS[when] or 0)),
        tuple(table.get("sources", ["*"])),
        tuple(table.get("mail", [])),
        tuple(table.get("webhook", [])),
        table.get("language", "en"),
    )


def _faults(table: Mapping[str, Any]) -> Iterator[Reason]:
    for key in sorted(set(table) - _KEYS):
        yield Reason(
            "unknown key %(name)s; %(suggestion)s",
            name=repr(key),
            suggestion=suggestion(key, _KEYS),
        )
    name, when, limit = table.get("name"), table.get("when"), table.get("limit", 0)
    if not isinstance(name, str) or not 0 < len(name) <= 60 or not name.isprintable():
        yield Reason("give it a name of 1 to 60 visible characters")
    if not isinstance(when, str) or when not in CONDITIONS:
        yield not_one_of("when", when, CONDITIONS)
    elif "limit" in table and CONDITIONS[when] is None:
        yield Reason("%(condition)s has no limit; remove it", condition=when)
    elif when in GLOBAL and "sources" in table:
        yield Reason(
            "%(condition)s is about the whole installation; remove sources", condition=when
        )
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1e6:
        yield expected("limit", limit, "a number from 0 up")
    if table.get("language", "en") not in LANGUAGES:
        yield not_one_of("language", table.get("language"), LANGUAGES)
    yield from _address_faults(table)


def _address_faults(table: Mapping[str, Any]) -> Iterator[Reason]:
    for key in ("sources", "mail", "webhook"):
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield expected(key, values, "a list of texts")
        elif key == "mail":
            yield from (
                expected(key, value, "a mail address")
                for value in values
                if not is_mail_address(value)
            )
        elif key == "webhook":
            yield from (
                expected(key, value, "an http or https address")
                for value in values
                if not is_web(value)
            )
    if not table.get("mail") and not table.get("webhook"):
        yield Reason("name who is notified: mail = [...], webhook = [...], or both")


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
