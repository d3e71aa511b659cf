"""Read the rules of alerts: a TOML file in the data directory, also edited on the admin pages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harvesters.errors import HarvestError
from harvesters.notifications.mail import is_mail_address
from languages.request_locale import LANGUAGES
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
}
GLOBAL = ("disk_low",)  # conditions of the installation, not of a source
_KEYS = {"name", "when", "limit", "sources", "mail", "webhook", "language"}


class RulesError(HarvestError):
    """The rules have *faults*, one text each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom to notify when a condition holds; *sources* are names or patterns with ``*``."""

    name: str
    when: str
    limit: float
    sources: tuple[str, ...]
    mail: tuple[str, ...]
    webhook: tuple[str, ...]
    language: str

    def covers(self, source: str) -> bool:
        """Return whether the rule is about this source."""
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
        raise RulesError([f"{file}: cannot be read: {error}; save it as UTF-8 text"]) from error


def parse_rules(text: str) -> list[Rule]:
    """Parse rules; raise RulesError with all their faults.

    >>> [rule.name for rule in parse_rules(EXAMPLE)]
    ['waiting', 'failing']
    """
    if len(text.encode()) > MAX_BYTES:
        raise RulesError([f"{FILE}: more than {MAX_BYTES:,} bytes"])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError([f"{FILE}: {error}"]) from error
    tables = document.get("rule", [])
    unknown = sorted(set(document) - {"rule"})
    faults = [f"{FILE}: unknown entry {name!r}; rules are tables [[rule]]" for name in unknown]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError([*faults, f"{FILE}: write each rule as a table [[rule]]"])
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        name = table.get("name", "")
        wrong = [f"{FILE}: rule {name or number!r}: {fault}" for fault in _faults(table)]
        if not wrong and any(rule.name == name for rule in rules):
            wrong = [f"{FILE}: rule {name!r}: there are two of this name"]
        faults += wrong
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


def _faults(table: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(table) - _KEYS):
        yield f"unknown entry {key!r}; known: {', '.join(sorted(_KEYS))}"
    name, when, limit = table.get("name"), table.get("when"), table.get("limit", 0)
    if not isinstance(name, str) or not 0 < len(name) <= 60 or not name.isprintable():
        yield "give it a name of 1 to 60 visible characters"
    if not isinstance(when, str) or when not in CONDITIONS:
        yield f"when is {when!r}; use one of {', '.join(CONDITIONS)}"
    elif "limit" in table and CONDITIONS[when] is None:
        yield f"{when} has no limit; remove it"
    elif when in GLOBAL and "sources" in table:
        yield f"{when} is about the whole installation; remove sources"
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1e6:
        yield f"limit is {limit!r}; use a number from 0"
    if table.get("language", "en") not in LANGUAGES:
        yield f"language is {table.get('language')!r}; use one of {', '.join(LANGUAGES)}"
    yield from _address_faults(table)


def _address_faults(table: Mapping[str, Any]) -> Iterator[str]:
    for key in ("sources", "mail", "webhook"):
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield f"{key} is no list of texts, such as {key} = [...]"
        elif key == "mail":
            yield from (f"{value!r} is no mail address" for value in values if not is_mail_address(value))
        elif key == "webhook":
            yield from (f"{value!r} is no web address" for value in values if not is_web(value))
    if not table.get("mail") and not table.get("webhook"):
        yield "name who is notified: mail = [...], webhook = [...], or both"
