"""Reasons of runs and refusals: messages that are translated when they are shown.

A reason is stored as its English text, or the code of that where a program reads it, and its
values. Its English text is published and logged; the admin pages show it in the language of the
request, by the catalogues of ``languages``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeAlias

from harvesters.reason_texts import TEXTS

Value: TypeAlias = "str | int | Reason"

_RETIRED = Path(__file__).parent / "retired_reasons.json"
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


def parse_reason(text: str, codes: Iterable[str], known: Mapping[str, str] | None = None) -> Reason:
    """Return the reason among *codes* with this English text, or the one that has only the text.

    Values are those of *known*, or else the words in their place.

    >>> parse_reason("restores what was published before a.2", ["restores"])
    Reason(code='restores', values={'run': 'a.2'})
    """
    for code in codes:
        if known and Reason(code, **known).text == text:
            return Reason(code, **known)
        pattern = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(TEXTS[code]))
        if not known and (match := re.fullmatch(pattern, text)):
            return Reason(code, **match.groupdict())
    return other(text)


def without_review(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons without the command to review a plan."""
    return tuple(reason for reason in reasons if reason.code != REVIEW)
