"""Check the conditions of the alert rules, which are a TOML file in the data directory, and queue
messages when one begins or ends to hold.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from pydantic import BeforeValidator, ConfigDict, PlainValidator, ValidationError
from pydantic.dataclasses import dataclass as checked

from harvesters.errors import HarvestError
from harvesters.ledger import outbox, prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Alert, Message
from harvesters.notifications.delivery import Channels
from harvesters.options import (
    expected,
    is_number,
    located,
    must_be,
    one_of,
    suggestion,
    value_fault,
)
from harvesters.reasons import Reason, join_reasons
from harvesters.runs.context import HarvestContext
from harvesters.runs.status_file import source_statuses
from languages.translations import LANGUAGES, format_number, gettext, isolate, use_language
from vocab.addresses import is_mail_address
from vocab.iris import is_web
from vocab.provenance import Freshness, SourceStatus, freshness

FILE = "alerts.toml"
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


class RulesError(HarvestError):
    """The rules are not valid; *faults* has a reason for each fault."""

    def __init__(self, faults: list[Reason]) -> None:
        super().__init__(join_reasons(faults))
        self.faults = faults


def _check_name(value: object) -> object:
    if not isinstance(value, str) or not 0 < len(value) <= 60 or not value.isprintable():
        raise ValueError(Reason("give it a name of 1 to 60 visible characters"))
    return value


def _check_list(value: object) -> object:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(lambda key: expected(key, value, "a list of texts"))
    return tuple(value)


_Mail = Annotated[str, must_be("a mail address", is_mail_address)]
_Web = Annotated[str, must_be("an http or https address", is_web)]
_AsTuple = BeforeValidator(_check_list)


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Rule:
    """The recipients of an alert about a condition; *sources* are names or patterns with ``*``."""

    name: Annotated[str, PlainValidator(_check_name)]
    when: Annotated[str, one_of(CONDITIONS)]
    limit: Annotated[float, must_be("a number from 0 up", partial(is_number, most=1e6))]
    sources: Annotated[tuple[str, ...], _AsTuple] = ("*",)
    mail: Annotated[tuple[_Mail, ...], _AsTuple] = ()
    webhook: Annotated[tuple[_Web, ...], _AsTuple] = ()
    language: Annotated[str, one_of(LANGUAGES)] = "en"

    def covers(self, source: str) -> bool:
        return any(fnmatchcase(source, pattern) for pattern in self.sources)


def load_rules(data: Path) -> list[Rule]:
    """Return the rules of a data directory; none without a file. Raises RulesError with all faults."""
    return parse_rules(read_rules(data))


def read_rules(data: Path) -> str:
    """Return the text of the rules, empty without a file; raise RulesError if it cannot be read."""
    file = data / FILE
    try:
        return file.read_text(encoding="utf-8") if file.exists() else ""
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
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(
            [located(FILE, Reason("invalid TOML: %(error)s", error=str(error)))]
        ) from error
    tables = document.pop("rule", [])
    faults = [located(FILE, _unknown(name, ["rule"])) for name in sorted(document)]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError([*faults, located(FILE, Reason("write each rule as a table [[rule]]"))])
    rules: dict[str, Rule] = {}
    for number, table in enumerate(tables, 1):
        named = Reason("rule %(name)s", name=repr(table.get("name") or number))
        faults += (located(FILE, located(named, fault)) for fault in _read_rule(table, rules))
    if faults:
        raise RulesError(faults)
    return [*rules.values()]


def _read_rule(table: Mapping[str, Any], rules: dict[str, Rule]) -> Iterator[Reason]:
    """Add the rule of a table to *rules*, or yield its faults."""
    when = str(table.get("when", ""))
    try:
        rule = Rule(**{"name": "", "when": "", "limit": CONDITIONS.get(when) or 0, **table})
        if rules.setdefault(rule.name, rule) is not rule:
            yield Reason("two rules have this name")
    except ValidationError as error:
        for detail in error.errors():
            key = str(detail["loc"][0])
            is_unknown = detail["type"] == "unexpected_keyword_argument"
            yield (
                _unknown(key, Rule.__dataclass_fields__)
                if is_unknown
                else value_fault(key, detail["input"], [detail])
            )
    if "limit" in table and CONDITIONS.get(when, 0) is None:
        yield Reason("%(condition)s has no limit; remove it", condition=when)
    if when in GLOBAL and "sources" in table:
        yield Reason(
            "%(condition)s is about the whole installation; remove sources", condition=when
        )
    if not table.get("mail") and not table.get("webhook"):
        yield Reason("name who is notified: mail = [...], webhook = [...], or both")


def _unknown(name: str, known: Iterable[str]) -> Reason:
    return Reason(
        "unknown key %(name)s; %(suggestion)s", name=repr(name), suggestion=suggestion(name, known)
    )


_GIGABYTE = 1_000_000_000
Found = Mapping[tuple[str, str], Reason]  # the reason of each alert, by rule and source

# How many submissions, comments and nominations wait for a person, by the condition of a rule.
_WAITING: Mapping[str, Callable[[Ledger, datetime], int]] = {
    "submission_waits": lambda ledger, _: submissions.waiting(ledger)[0],
    "comment_waits": lambda ledger, _: submissions.count_waiting_comments(ledger),
    "nomination_waits": prizes.count_waiting,
}
_PAGES = {
    "alert_submission_waits": "submissions",
    "alert_comment_waits": "submissions",
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
            ledger.add(Alert(0, rule, source, now, reason))
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
            outbox.change_alert(ledger, alert.id, messages, now, ended=now)
            log.info("alert ended", rule=alert.rule, source=alert.source or None)
        elif opened and not alert.notified and not is_silenced:
            messages = write_messages(opened, alert, channels, now)
            outbox.change_alert(ledger, alert.id, messages, now, notified=True)


def _find(context: HarvestContext, rules: Sequence[Rule], now: datetime) -> Found:
    statuses, reasons = source_statuses(context, now), dict[tuple[str, str], Reason]()
    for rule in rules:
        about = (
            [("", _installation_reason(rule, context, now))]
            if rule.when in GLOBAL
            else [
                (status.source, _source_reason(rule, status, context, now))
                for status in statuses
                if rule.covers(status.source) and not status.marks.retired
            ]
        )
        reasons |= {(rule.name, source): reason for source, reason in about if reason}
    return reasons


def _installation_reason(rule: Rule, context: HarvestContext, now: datetime) -> Reason | None:
    """Return why the rule's condition holds for the installation, or None."""
    if rule.when == "disk_low":
        free, limit = shutil.disk_usage(context.data).free / _GIGABYTE, rule.limit
        is_low = free < limit
        return Reason("alert_disk_low", free=f"{free:.1f}", limit=f"{limit:g}") if is_low else None
    count = _WAITING[rule.when](context.ledger, now)
    return Reason(f"alert_{rule.when}", count=count) if count else None


def _source_reason(
    rule: Rule, status: SourceStatus, context: HarvestContext, now: datetime
) -> Reason | None:
    """Return why the rule's condition holds for a source, or None."""
    source, failures = status.source, status.marks.failures or 0
    if rule.when == "late" and freshness(status.marks, now) is Freshness.LATE and status.attempt:
        return Reason("alert_late", source=source)
    if rule.when == "failing" and failures and failures >= rule.limit:
        return Reason("alert_failing", source=source, count=failures, reason=status.reason or "")
    name = {"plan_waits": status.plan, "withheld": status.run}.get(rule.when)
    run = context.ledger.run(name) if name else None
    if run and rule.when == "plan_waits":
        waits = (now - (run.planned or run.started)).total_seconds() / 3600 >= rule.limit
        return Reason("alert_plan_waits", run=run.id, source=source) if waits else None
    count = run.counts.get("withheld", 0) if run else 0
    if run and run.fetched and count * 100 / run.fetched > rule.limit:
        return Reason("alert_withheld", source=source, count=count, total=run.fetched)
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
