"""Define the result of a preflight."""

from __future__ import annotations

import bisect
import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_POSITION = re.compile(r"\bline (\d+)(?:[,:]? column (\d+))?")
_MIN_UNIQUE = 4  # A shorter key must occur once for its place to be known.


class Level(StrEnum):
    """The level of a finding: with an error, a record or the whole feed would not be published."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: its rule, a message and a remedy; the key of its *record* (``#3`` is the third one,
    which has no key), *line* and *column* from 1, and the publisher's own name of the *field*. ""
    and None where they are not known.
    """

    rule: str
    level: Level
    message: str
    remedy: str
    record: str = ""
    line: int | None = None
    column: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule with the number of records that break it."""

    rule: str
    level: Level
    message: str
    remedy: str
    records: int
    field: str = ""


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field of the feed, by its publisher's own name: *records* of the sample have it, and
    *properties* (IRIs) come from it, none if it is dropped.
    """

    name: str
    records: int
    is_read: bool
    properties: tuple[str, ...] = ()
    example: str = ""


@dataclass(frozen=True, slots=True)
class PlannedChanges:
    """The changes of the published records of *source* that a harvest of the feed would make.

    *counts* has the number of records by outcome, *identities* pairs of an old and a new key, and
    *missing* some keys that the feed lacks. *hold_reasons*: why the change would wait for a person;
    empty if it would be published. *note* says why missing records cannot be known, "" if they are.
    """

    source: str
    published_before: int
    published_after: int
    counts: Mapping[str, int]
    identities: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    hold_reasons: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """The result of a preflight. *counts* has the records of the feed by result: publishable,
    withheld, unreadable, duplicate, deleted.

    *rules* counts all findings, the most serious first; *findings* lists the first ones. *plan* is
    None if no source was named, or if there is no ledger with it (*plan_note* says why).
    """

    feed: str
    protocol: str
    mapping: str
    counts: Mapping[str, int] = field(default_factory=dict)
    fields: tuple[FieldUse, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    findings: tuple[Finding, ...] = ()
    plan: PlannedChanges | None = None
    plan_note: str = ""

    @property
    def records(self) -> int:
        """Return the number of records that were found."""
        return sum(self.counts.values())

    @property
    def level(self) -> Level | None:
        """Return the level of the worst finding, None without any."""
        levels = {rule.level for rule in self.rules}
        return next((level for level in Level if level in levels), None)


class Locator:
    """Finds the line and column of a record in the text of a feed, none in a binary file."""

    def __init__(self, content: bytes) -> None:
        self._text = (
            ""
            if b"\0" in content[:4096]
            and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            else (content.decode("utf-8", "replace"))
        )
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]

    def locate(self, key: str, title: str = "") -> tuple[int, int] | None:
        """Return line and column of the first occurrence of *key*, else of *title*; None if there is
        none, or if a short text occurs twice.

        >>> Locator(b'[{"id": "ab-1"},\\n {"id": "ab-12"}]').locate("ab-12")
        (2, 10)
        """
        return next((position for text in (key, title) if (position := self._first(text))), None)

    def _first(self, text: str) -> tuple[int, int] | None:
        if not text or not self._text:
            return None
        start = self._find(text, 0)
        if start < 0 or (len(text) < _MIN_UNIQUE and self._find(text, start + 1) >= 0):
            return None
        line = bisect.bisect_right(self._starts, start)
        return line, start - self._starts[line - 1] + 1

    def _find(self, text: str, start: int) -> int:
        """Return the position of *text* as a whole word from *start* on, -1 if there is none."""
        while (start := self._text.find(text, start)) >= 0:
            if not (
                _is_part(self._text[start - 1 : start])
                or _is_part(self._text[start + len(text) : start + len(text) + 1])
            ):
                return start
            start += 1
        return -1


def _is_part(letter: str) -> bool:
    return letter.isalnum() or letter in ("_", "-")


def position_in(message: str) -> tuple[int | None, int | None]:
    """Return the line and column that a parser's message names.

    >>> position_in("not well-formed XML: mismatched tag, line 9, column 25"), position_in("empty response")
    ((9, 25), (None, None))
    """
    match = _POSITION.search(message)
    if match is None:
        return None, None
    return max(int(match.group(1)), 1), int(match.group(2)) if match.group(2) and int(
        match.group(2)
    ) else None
