"""Define the reasons of runs and refusals: messages that are translated when they are shown.

A reason is stored as its English text with its values; a reason that a program reads has a code in
place of the text. The English text is published and logged; the admin pages show it in the language
of the request, by the catalogues of ``languages``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeAlias

Value: TypeAlias = "str | int | Reason"

# The English texts of the reasons with a code: those that a program reads. The catalogues have all
# these texts as keys.
TEXTS: Mapping[str, str] = {
    "other": "%(text)s",
    "no_records": "the source returned no records; the last good data stays",
    "too_few_records": "the source returned %(fetched)s records; its definition expects at least %(expected)s",
    "missing": (
        "%(count)s of %(total)s published records are missing (%(share)s); the limit is %(limit)s"
    ),
    "deleted": (
        "%(count)s of %(total)s published records were deleted by the source (%(share)s); "
        "the limit is %(limit)s"
    ),
    "missing_or_deleted": (
        "%(count)s of %(total)s published records are missing or were deleted (%(deleted)s) "
        "(%(share)s); the limit is %(limit)s"
    ),
    "changed": "%(count)s of %(total)s published records changed (%(share)s); the limit is %(limit)s",
    "reidentified": (
        "%(count)s of %(total)s published records have another key (%(share)s); the limit is "
        "%(limit)s"
    ),
    "withheld": (
        "%(count)s of %(total)s records could not be published (%(share)s); the limit is %(limit)s"
    ),
    "keys_repeated": "of these, %(count)s: %(reason)s",
    "too_many_statements": (
        "the record %(key)s has %(count)s statements; the limit is %(limit)s (statements in "
        "[limits] of the source definition)"
    ),
    "too_many_dates": (
        "the recurring events of the file have %(count)s dates; the limit is %(limit)s "
        "(dates in [limits] of the source definition)"
    ),
    "journal_too_large": (
        "the journal would grow by %(size)s bytes for %(received)s bytes received, %(ratio)s "
        "for each; the limit is %(limit)s (journal in [limits] of the source definition)"
    ),
    "on_hold": "%(by)s put the source on hold at %(since)s UTC",
    "on_hold_because": "%(by)s put the source on hold at %(since)s UTC: %(note)s",
    "planned_clear": "%(by)s asks to remove all records of the source: %(count)s",
    "planned_forget": "%(by)s asks to remove one record for good",
    "planned_retire": "%(by)s asks to retire the source; its records stay",
    "review": (
        "review it with `stocktake plans show %(run)s --diff`, then `stocktake plans approve "
        "%(run)s` or `stocktake plans reject %(run)s`"
    ),
    "alert_plan_waits": "%(source)s: the change %(run)s waits for approval",
    "alert_failing": "%(source)s: consecutive failures: %(count)s; the last: %(reason)s",
    "alert_late": "%(source)s: no successful run since the last one was due",
    "alert_withheld": "%(source)s: %(count)s of %(total)s records of the last run were withheld",
    "alert_disk_low": "free disk space: %(free)s GB; the limit is %(limit)s GB",
    "alert_submission_waits": "submissions that wait for a moderator: %(count)s",
    "alert_comment_waits": "comments that wait for a moderator: %(count)s",
    "alert_nomination_waits": "nominations for a prize that wait for a decision: %(count)s",
    "alert_test": "a test message, sent by %(by)s",
    "read_up_to": (
        "the list was read up to page %(page)s with %(records)s records, the last of them "
        "%(key)s; then %(error)s"
    ),
    "wrong_entry_id": (
        "%(source)s: entry %(number)s of %(url)sjournal/ is %(id)s, but the head names %(expected)s"
    ),
    "journal_gap": "%(source)s: %(url)s is missing, though later entries are there: its journal has a gap",
    "journal_broken": "%(source)s: %(url)s: %(error)s; nothing of this run is published",
    "broken_rule": "%(message)s (%(property)s)",
    "key_repeated": (
        "its key occurred before in this run, in a record with other content; the first "
        "record with it counts"
    ),
    "key_repeated_in_table": (
        "its key occurred before in this run, in a row with other content; the first row "
        "with it counts; to publish both, set the option %(key)s"
    ),
    "joined_row_alone": "sheet %(sheet)s: no record has the key %(key)s",
    "row_without_key": "line %(line)s: the key is empty",
    "override_used": "%(by)s allowed %(limit)s up to %(value)s once",
    "restores": "restores what was published before %(run)s",
}

_RETIRED = Path(__file__).parent / "retired_reasons.json"
READ_UP_TO = "read_up_to"  # code of the reason of a run whose source failed after good pages
REVIEW = "review"  # code of the reason that names the command to review a plan


@cache
def _retired_texts() -> Mapping[str, str]:
    """Return the texts of reasons that ledgers of the first version stored by their codes."""
    texts: dict[str, str] = json.loads(_RETIRED.read_text(encoding="utf-8"))
    return texts


@dataclass(frozen=True, slots=True, init=False)
class Reason:
    """Why a run ended as it did, or why a request was refused.

    *code* is an English text of the catalogues, whose places *values* fill, or one of the codes
    that stand for such a text. A value may be a reason itself, such as the error of a request
    inside that of a run.

    >>> Reason("no_records").text
    'the source returned no records; the last good data stays'
    >>> Reason("the feed is not well-formed: %(error)s", error=Reason("no_records")).text
    'the feed is not well-formed: the source returned no records; the last good data stays'
    """

    code: str
    values: Mapping[str, str | int | Reason] = field(default_factory=dict)

    def __init__(self, code: str, /, **values: Value) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "values", values)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Return the reason that ``dataclasses.asdict`` wrote.

        >>> Reason.from_json({"code": "bug", "values": {"error": {"code": "no_records", "values": {}}}}).values
        {'error': Reason(code='no_records', values={})}
        """
        values = {
            name: cls.from_json(value) if isinstance(value, Mapping) else value
            for name, value in row["values"].items()
        }
        code = row["code"]
        is_known = code in TEXTS or not code.isidentifier()
        return cls(code if is_known else _retired_texts().get(code, code), **values)

    def map_texts(self, change: Callable[[str], str]) -> Reason:
        """Return the reason with *change* applied to each value that is a text."""
        values = {
            name: value.map_texts(change)
            if isinstance(value, Reason)
            else change(value)
            if isinstance(value, str)
            else value
            for name, value in self.values.items()
        }
        return Reason(self.code, **values)

    def with_rule_message(self, translate: Callable[[str], str]) -> Reason:
        """Return the reason with the message of a broken rule translated; any other as it is."""
        if self.code != "broken_rule":
            return self
        message = translate(str(self.values["message"]))
        return Reason("broken_rule", message=message, property=self.values["property"])

    def describe(
        self,
        translate: Callable[[str], str],
        number: Callable[[int], str],
        isolate: Callable[[str], str] = str,
    ) -> str:
        """Return the text: *translate* translates the English one, *number* writes whole numbers,
        *isolate* marks names and messages in it.
        """
        values = {
            name: value.describe(translate, number, isolate)
            if isinstance(value, Reason)
            else number(value)
            if isinstance(value, int)
            else isolate(value)
            for name, value in self.values.items()
        }
        return translate(TEXTS.get(self.code, self.code)) % values

    @property
    def text(self) -> str:
        """Return the English text."""
        return self.describe(str, lambda value: f"{value:,}")

    def __str__(self) -> str:
        return self.text


def other(text: object) -> Reason:
    """Return the reason that has only a text, such as the message of an error."""
    return Reason("other", text=str(text))


def as_reason(reason: str | Reason) -> Reason:
    """Return *reason*, or the one of a text.

    >>> as_reason("no title")
    Reason(code='other', values={'text': 'no title'})
    """
    return reason if isinstance(reason, Reason) else other(reason)


def join_reasons(reasons: Iterable[Reason]) -> str:
    """Return the English texts as one.

    >>> join_reasons([Reason("no_records"), Reason("superseded by the plan of %(run)s", run="a.2")])
    'the source returned no records; the last good data stays; superseded by the plan of a.2'
    """
    return "; ".join(reason.text for reason in reasons)


def parse_reason(text: str, codes: Iterable[str]) -> Reason:
    """Return the reason among *codes* with this English text, or the one that has only the text.

    >>> parse_reason("restores what was published before a.2", ["restores"])
    Reason(code='restores', values={'run': 'a.2'})
    """
    for code in codes:
        pattern = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(TEXTS[code]))
        if match := re.fullmatch(pattern, text):
            return Reason(code, **match.groupdict())
    return other(text)


def without_review(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons without the command to review a plan."""
    return tuple(reason for reason in reasons if reason.code != REVIEW)
