"""The questions of the form, one a page, with their fields; fields are read from members and
written to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import orjson

from harvesters.ledger.participation.models import Content
from harvesters.participation.submissions.model import FIELDS, MEMBERS, TYPES, Field

Form = Mapping[str, Sequence[str]]  # what was sent, by the name of the field
LANGUAGE = Field("_language", control="select", label="Language of your texts", choices="language")


@dataclass(frozen=True, slots=True)
class Question:
    """A page of the form: its *name* in the address, its English *text*, and its fields."""

    name: str
    text: str
    fields: tuple[Field, ...]


def _fields(*members: str) -> tuple[Field, ...]:
    return tuple(field for member in members for field in FIELDS.values() if field.member == member)


QUESTIONS = (
    Question("type", "What do you want to submit?", _fields("type")),
    Question("title", "What is its title?", (LANGUAGE, *_fields("title"))),
    Question("description", "What is it about?", _fields("description")),
    Question("content", "What does it say?", _fields("content")),
    Question("organization", "Which organization is responsible?", _fields("publisher")),
    Question("partners", "Who else takes part?", _fields("partner", "funder")),
    Question("countries", "In which countries?", _fields("country")),
    Question("action-lines", "Which WSIS action lines does it serve?", _fields("actionLine")),
    Question("goals", "Which Sustainable Development Goals does it serve?", _fields("goal")),
    Question("targets", "Which targets of these goals does it serve?", _fields("target")),
    Question("why", "How does it serve these goals?", ()),  # a field for each goal that was chosen
    Question("dates", "When?", _fields("start", "end", "issued", "status")),
    Question("venue", "Where?", _fields("venue")),
    Question("picture", "Is there a picture of it?", _fields("picture")),
    Question("links", "Where can one read more?", _fields("registration", "page", "license")),
)
SUMMARY = "summary"
PICTURE = "picture"  # the question whose answer has a file
SUGGESTED = ("action-lines", "goals", "targets")  # questions whose answers the texts may suggest
_INTERNAL = "_"  # begins the members of a draft that are not sent


def questions_of(content: Content) -> list[Question]:
    """Return the questions for a draft, each with the fields that its type has."""
    known = TYPES.get(str(content.get("type")), frozenset())
    goals = content.get("goal") or ()
    asked = {"type", *((known | {LANGUAGE.member}) if known else ())}
    asked -= set() if goals else {"target"}
    questions = []
    for question in QUESTIONS:
        fields = tuple(field for field in question.fields if field.member in asked)
        if question.name == "why" and "why" in asked:
            fields = tuple(replace(FIELDS["why.1"], part=str(goal)) for goal in goals)
        if fields:
            questions.append(replace(question, fields=fields))
    return questions


def values_of(content: Content, field: Field, language: str) -> list[str]:
    """Return the values of a field in a draft; of a text, the one in *language*, else the first."""
    if field.member == LANGUAGE.member:
        return [language]
    value: Any = content.get(field.member)
    if field.part:
        value = (value or {}).get(field.part)
    if isinstance(value, Mapping):  # a text by language
        return [str(text) for text in (value.get(language), *value.values()) if text][:1]
    if isinstance(value, list):
        return [item["name"] if isinstance(item, Mapping) else str(item) for item in value]
    return [] if value in (None, "") else [str(value)]


def read_answer(form: Form, question: Question, content: Content, language: str) -> dict[str, Any]:
    """Return the members that a page of the form sent, before they are normalized."""
    answer: dict[str, Any] = {}
    for field in question.fields:
        sent = form.get(field.name, ())
        lines = [line for value in sent for line in value.splitlines()]
        answers = lines if field.control == "lines" else sent
        values = [value for answer in answers if (value := answer.strip())]
        first: Any = next(iter(values), None)
        if field.part:
            parts = answer.setdefault(field.member, {})
            if first:
                parts[field.part] = {language: first} if field.is_text else first
        elif field.control in ("lines", "list", "checks"):
            answer[field.member] = values
        elif field.is_text:
            answer[field.member] = _by_language(content.get(field.member), values, language)
        else:
            answer[field.member] = first
    return {name: None if value == {} else value for name, value in answer.items()}


def _by_language(before: Any, values: list[str], language: str) -> dict[str, str]:
    """Return a text with a new value in the language of the draft; other languages stay."""
    others = {tag: text for tag, text in (before or {}).items() if tag != language}
    return {**({language: values[0]} if values else {}), **others}


def with_language(content: Content, before: str, after: str) -> Content:
    """Return a draft or an answer in which the language tag *before* is replaced by *after*.

    >>> with_language({"title": {"en": "Bonjour"}, "goal": ["4"]}, "en", "fr")
    {'title': {'fr': 'Bonjour'}, 'goal': ['4']}
    """

    def renamed(texts: Mapping[str, str]) -> dict[str, str]:
        return {after if tag == before else tag: text for tag, text in texts.items()}

    texts = (name for name, member in MEMBERS.items() if member.kind.is_text and content.get(name))
    changed: dict[str, Any] = {name: renamed(content[name]) for name in texts}
    if caption := content.get("picture", {}).get("caption"):
        changed["picture"] = {**content["picture"], "caption": renamed(caption)}
    if reasons := content.get("why"):
        changed["why"] = {goal: renamed(why) for goal, why in reasons.items()}
    return {**content, **changed}


def without_removed_goals(before: Content, after: Content) -> Content:
    """Return a draft without the targets and reasons of the goals that its author removed.

    >>> without_removed_goals({"goal": ["4", "5"]}, {"goal": ["5"], "target": ["4.1", "5.b"], "why": {"4": {"en": "Girls learn."}}})
    {'goal': ['5'], 'target': ['5.b']}
    """
    removed = {*before.get("goal", ())} - {*after.get("goal", ())}
    targets = [
        target for target in after.get("target", ()) if target.partition(".")[0] not in removed
    ]
    reasons = {goal: why for goal, why in after.get("why", {}).items() if goal not in removed}
    rest = {name: value for name, value in after.items() if name not in ("target", "why")}
    return {
        **rest,
        **({"target": targets} if targets else {}),
        **({"why": reasons} if reasons else {}),
    }


def fingerprint(content: Content, question: Question) -> str:
    """Return a digest of a page's answers, which shows whether they changed since the page was
    read.
    """
    answers = [
        content.get(member) for member in sorted({field.member for field in question.fields})
    ]
    return sha256(orjson.dumps(answers, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def without_internal(content: Content) -> Content:
    """Return the members of a draft without those that only the form needs."""
    return {name: value for name, value in content.items() if not name.startswith(_INTERNAL)}
