"""The questions of the form: one a page, each with its fields, and how a field is written to a
member and read from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from harvesters.ledger.participation.models import Content
from harvesters.participation.submissions.members import MEMBERS, TYPES
from languages.translations import gettext

Form = Mapping[str, Sequence[str]]  # what was sent, by the name of the field


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form for *member*; *control* is text, area, lines, date, select, checks or
    list.

    A field without an English *label* is named as its member.
    *part* is the part of an organization that the field is. *choices* names a list of ``choices``.
    """

    member: str
    control: str
    label: str = ""
    hint: str = ""
    choices: str = ""
    part: str = ""

    @property
    def title(self) -> str:
        """Return the label of the field in the language of the request."""
        return gettext(self.label) if self.label else MEMBERS[self.member].title()

    @property
    def name(self) -> str:
        """Return the field's name in the form."""
        return f"{self.member}-{self.part}" if self.part else self.member


@dataclass(frozen=True, slots=True)
class Question:
    """A page of the form: its *name* in the address, its English *text*, and its fields."""

    name: str
    text: str
    fields: tuple[Field, ...]


_ONE_A_LINE = "One on each line."
_PICTURES = (
    "JPEG, PNG, WebP or GIF, of at most 10 MB. The place and other data in the file are removed."
)
LANGUAGE = Field("_language", "select", "Language of your texts", choices="language")
QUESTIONS = (
    Question("type", "What do you want to submit?", (Field("type", "select", "Type", choices="type"),)),
    Question("title", "What is its title?", (LANGUAGE, Field("title", "text", "Title", "At most 300 characters."))),
    Question(
        "description",
        "What is it about?",
        (Field("description", "area", "Description", "What is done, for whom, and what came of it. Do not name persons."),),
    ),
    Question("content", "What does it say?", (Field("content", "area", "Text"),)),
    Question(
        "organization",
        "Which organization is responsible?",
        (
            Field("publisher", "text", "Name of the organization", part="name"),
            Field("publisher", "select", "Type of organization", choices="stakeholder-type", part="classification"),
            Field("publisher", "select", "Country of the organization", choices="country", part="country"),
        ),
    ),
    Question(
        "partners",
        "Who else takes part?",
        (Field("partner", "lines", "Partners", _ONE_A_LINE), Field("funder", "lines", "Funders", _ONE_A_LINE)),
    ),
    Question("countries", "In which countries?", (Field("country", "list", "Countries", "Choose as many as apply.", "country"),)),
    Question(
        "action-lines",
        "Which WSIS action lines does it serve?",
        (Field("actionLine", "checks", "Action lines", choices="action-line"),),
    ),
    Question("goals", "Which Sustainable Development Goals does it serve?", (Field("goal", "checks", "Goals", choices="goal"),)),
    Question("targets", "Which targets of these goals does it serve?", (Field("target", "checks", "Targets", choices="target"),)),
    Question("why", "How does it serve these goals?", ()),  # a field for each goal that was chosen
    Question(
        "dates",
        "When?",
        (
            Field("start", "date", "Start", "As year-month-day, such as 2026-05-31."),
            Field("end", "date", "End", "Leave it empty if it goes on."),
            Field("issued", "date", "Date of publication", "As year-month-day, such as 2026-05-31."),
            Field("status", "select", choices="status"),
        ),
    ),
    Question("venue", "Where?", (Field("venue", "text"),)),
    Question(
        "picture",
        "Is there a picture of it?",
        (
            Field("picture", "picture", "Picture", _PICTURES),
            Field("picture", "text", "What the picture shows", "For those who cannot see it. Do not name persons.", part="caption"),
        ),
    ),
    Question(
        "links",
        "Where can one read more?",
        (
            Field("registration", "text", "Registration page", "Where participants register, with https://."),
            Field("page", "lines", "Web pages", "One on each line, with https://."),
            Field("license", "select", "Licence", "Under which others may use what you describe.", "licence"),
        ),
    ),
)  # fmt: skip
SUMMARY = "summary"
PICTURE = "picture"  # the question whose answer has a file
SUGGESTED = ("action-lines", "goals", "targets")  # questions whose answers the texts may suggest
_INTERNAL = "_"  # begins the members of a draft that are not sent


def questions_of(content: Content) -> list[Question]:
    """Return the questions for a draft, each with the fields that its type has."""
    known = TYPES.get(str(content.get("type")), frozenset())
    questions = []
    for question in QUESTIONS:
        fields = question.fields
        if question.name == "why":
            goals = content.get("goal") if "why" in known else ()
            fields = tuple(
                Field("why", "area", "", choices="goal", part=str(goal)) for goal in goals or ()
            )
        elif question.name == "targets" and not content.get("goal"):
            fields = ()
        elif question.name != "type":
            fields = tuple(
                field
                for field in fields
                if field.member in known or field.member == LANGUAGE.member
            )
        if fields and (question.name == "type" or known):
            questions.append(Question(question.name, question.text, fields))
    return questions


def values_of(content: Content, field: Field, language: str) -> list[str]:
    """Return the values of a field in a draft; of a text that in *language*, else the first."""
    if field.member == LANGUAGE.member:
        return [language]
    value: Any = content.get(field.member)
    if field.control == "picture":
        return [value["id"]] if value else []
    if field.member == "why" or field.part:
        value = (value or {}).get(field.part)
    if isinstance(value, Mapping):  # a text by language
        return [str(text) for text in (value.get(language), *value.values()) if text][:1]
    if isinstance(value, list):
        return [item["name"] if isinstance(item, Mapping) else str(item) for item in value]
    return [] if value in (None, "") else [str(value)]


def read_answer(form: Form, question: Question, content: Content, language: str) -> dict[str, Any]:
    """Return the members that a page of the form sent, as they are before they are normalized."""
    answer: dict[str, Any] = {}
    for field in question.fields:
        values = [value.strip() for value in form.get(field.name, ()) if value.strip()]
        if field.control == "lines":
            values = [
                line.strip() for value in values for line in value.splitlines() if line.strip()
            ]
        if field.part:
            parts = answer.setdefault(field.member, {})
            if values:
                parts[field.part] = {language: values[0]} if field.member == "why" else values[0]
        elif field.control in ("lines", "list", "checks"):
            answer[field.member] = values
        elif field.member in ("title", "description", "content", "venue"):
            answer[field.member] = _by_language(content.get(field.member), values, language)
        else:
            answer[field.member] = values[0] if values else None
    return {name: None if value == {} else value for name, value in answer.items()}


def _by_language(before: Any, values: list[str], language: str) -> dict[str, str]:
    """Return a text in the language of the draft, and what it has in other languages as it was."""
    others = {tag: text for tag, text in (before or {}).items() if tag != language}
    return {**({language: values[0]} if values else {}), **others}


def with_language(content: Content, before: str, after: str) -> Content:
    """Return a draft whose texts in one language are said to be in another.

    >>> with_language({"title": {"en": "Bonjour"}, "goal": ["4"]}, "en", "fr")
    {'title': {'fr': 'Bonjour'}, 'goal': ['4']}
    """
    texts = ("title", "description", "content", "venue")
    renamed = {
        name: {after if tag == before else tag: text for tag, text in content[name].items()}
        for name in texts
        if name in content
    }
    if caption := content.get("picture", {}).get("caption"):
        renamed["picture"] = {
            **content["picture"],
            "caption": {after if tag == before else tag: text for tag, text in caption.items()},
        }
    reasons = {
        goal: {after if tag == before else tag: text for tag, text in why.items()}
        for goal, why in content.get("why", {}).items()
    }
    return {**content, **renamed, **({"why": reasons} if reasons else {})}


def without_removed_goals(before: Content, after: Content) -> Content:
    """Return a draft without the targets and reasons of the goals that its author took away.

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
    """Return a digest of what a page of the form shows, to notice that somebody else changed it
    meanwhile.
    """
    answers = [
        content.get(member) for member in sorted({field.member for field in question.fields})
    ]
    return sha256(orjson.dumps(answers, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def without_internal(content: Content) -> Content:
    """Return the members that are sent."""
    return {name: value for name, value in content.items() if not name.startswith(_INTERNAL)}
