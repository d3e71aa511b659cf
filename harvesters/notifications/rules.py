"""Read the rules of alerts: a TOML file in the data directory, also edited on the admin pages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harvesters.errors import HarvestError
from harvesters.options import expected, located, not_one_of, suggestion
from harvesters.reasons import Reason, join_reasons
from languages.request_locale import LANGUAGES
from vocab.addresses import is_mail_address
from vocab.iris import is_web

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
