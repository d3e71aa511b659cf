"""The one model of a submission, in the members of our own JSON.

``MEMBERS`` defines each member: how it is read, its property, its question in the form, and its
values. ``normalize`` reads by it what was sent; the questions of the form, the columns of tables
and the properties of documents come from its fields.

Normalized, a text is an object of texts by language, a list is a list of texts, an organization is
an object with its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from harvesters.errors import ParseError, require
from harvesters.ledger.participation import Content
from harvesters.options import suggestion
from harvesters.payloads.value_parsing import html_to_text, normalize_inline, parse_language
from languages.translations import LANGUAGES, current_locale, format_number, gettext, term_title
from vocab.iris import Iris, is_web
from vocab.lookup import AREA
from vocab.schemes import concepts, label
from vocab.terms import DCAT, DCT, FOAF, SCHEMA, SIOC

MAX_TITLE, MAX_TEXT, MAX_WORD, MAX_ADDRESS = 300, 20_000, 300, 2_000  # characters
MAX_ITEMS = 50  # items of a list, and languages of a text
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?(T[0-9:.]+(Z|[+-]\d\d:?\d\d)?)?\Z", re.ASCII)
_DEGREES = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,15})?\Z")
_PICTURE = re.compile(r"[0-9a-f]{64}\.webp\Z", re.ASCII)  # the name of a stored picture
_KEPT = "\n\t\u200c\u200d"  # line ends, and the joiners that some scripts need


# ---- how values are read: each function returns the form that is stored, something empty for
# nothing, or raises ValueError with the fault in the language of the request


@dataclass(frozen=True, slots=True)
class Reading:
    """The *base* of our IRIs, and the *language* of texts without one."""

    base: str
    language: str | None


def _items(value: object) -> list[Any]:
    items = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    if len(items) > MAX_ITEMS:
        raise ValueError(gettext("There can be at most %(count)s.") % {"count": MAX_ITEMS})
    return items


def _one(value: object) -> object:
    items = _items(value)
    if len(items) > 1:
        raise ValueError(gettext("There can be only one."))
    return items[0] if items else None


def _clean(text: str) -> str:
    """Return a text without control characters and without marks that change the direction of text."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        for char in text
        if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        values = {"count": len(text), "limit": limit}
        raise ValueError(
            gettext("It has %(count)s characters; at most %(limit)s are possible.") % values
        )


def _word(value: object, reading: Reading, limit: int = MAX_WORD) -> str:
    """Return a word; of a concept of ours, the code at the end of its IRI."""
    if isinstance(value, Mapping) and isinstance(value.get("id"), str):
        value = value["id"]
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(gettext("Write text here."))
    word = normalize_inline(_clean(value) if isinstance(value, str) else value)
    _check_length(word, limit)
    return word.rpartition("/")[2] if word.startswith(f"{reading.base}scheme/") else word


def _single(value: object, reading: Reading) -> str:
    return _word(_one(value), reading, MAX_ADDRESS)


def _words(value: object, reading: Reading, limit: int = MAX_WORD) -> list[str]:
    words = (_word(item, reading, limit) for item in _items(value))
    return list(dict.fromkeys(filter(None, words)))


def _addresses(value: object, reading: Reading) -> list[str]:
    addresses = _words(value, reading, MAX_ADDRESS)
    if not all(map(is_web, addresses)):
        raise ValueError(gettext("Write a web address that begins with https://."))
    return addresses


def _address(value: object, reading: Reading) -> str:
    return next(iter(_addresses(_single(value, reading), reading)), "")


def _date(value: object, reading: Reading) -> str:
    word = _single(value, reading)
    if word and not _DATE.match(word):
        raise ValueError(gettext("Write the date as year-month-day, such as 2026-05-31."))
    return word


def _texts(
    value: object, reading: Reading, limit: int = MAX_TITLE, *, inline: bool = True
) -> dict[str, str]:
    """Return texts by language; *inline* ones are on one line."""
    sent = {"@none": value} if isinstance(value, str) else {} if value is None else value
    if isinstance(sent, Mapping) and len(sent) > MAX_ITEMS:
        raise ValueError(gettext("There can be at most %(count)s.") % {"count": MAX_ITEMS})
    texts: dict[str, str] = {}
    for tag, several in sent.items() if isinstance(sent, Mapping) else [("", sent)]:
        text = several[0] if tag and isinstance(several, list) and len(several) == 1 else several
        if not isinstance(text, str):
            raise ValueError(gettext("Write text here, by language if there are several."))
        cleaned = html_to_text(_clean(text))
        cleaned = normalize_inline(cleaned) if inline else cleaned.strip()
        _check_length(cleaned, limit)
        language = reading.language if tag == "@none" else parse_language(str(tag)[:MAX_WORD])
        if cleaned and not language:
            raise ValueError(gettext("State the language of the text, such as “en”."))
        if cleaned and language:
            texts[language] = cleaned
    return texts


_paragraphs = partial(_texts, limit=MAX_TEXT, inline=False)


def _party(value: object, reading: Reading) -> dict[str, str]:
    party = value if isinstance(value, Mapping) else {"name": value}
    name = party.get("name")
    word = _word(next(iter(name.values()), "") if isinstance(name, Mapping) else name, reading)
    if not word or is_web(word):
        raise ValueError(gettext("Name the organization."))
    rest = {
        key: _word(next(iter(_items(party[key])), ""), reading)
        for key in ("country", "classification")
        if party.get(key)
    }
    return {"name": word, **rest}


def _parties(value: object, reading: Reading) -> list[dict[str, str]]:
    return [_party(item, reading) for item in _items(value)]


def _lead(value: object, reading: Reading) -> dict[str, str] | None:
    parties = _parties(value, reading)
    if len(parties) > 1:
        raise ValueError(gettext("Name one organization; others are partners."))
    return next(iter(parties), None)


def _place(value: object, reading: Reading) -> dict[str, Any]:
    place = _one(value)
    if place is None:
        return {}
    if not isinstance(place, Mapping):
        raise ValueError(gettext("A place is an object with lat, long and label."))
    label = _texts(place.get("label"), reading)
    numbers = {name: _word(place.get(name), reading) for name in ("lat", "long")}
    for number, most in zip(numbers.values(), (90, 180), strict=True):
        if not _DEGREES.match(number) or abs(float(number)) > most:
            raise ValueError(gettext("Write latitude and longitude as decimal degrees."))
    return {**numbers, **({"label": label} if label else {})}


def _picture(value: object, reading: Reading) -> dict[str, Any]:
    """Return the name of a picture that was sent before, and its caption."""
    sent = _one(value)
    about = sent if isinstance(sent, Mapping) else {"id": sent}
    name = _single(about.get("id"), reading).removeprefix(Iris(reading.base).picture(""))
    if not name:
        return {}
    if not _PICTURE.match(name):
        raise ValueError(gettext("Send the picture first; its “id” is in the answer."))
    caption = _texts(about.get("caption"), reading)
    return {"id": name, **({"caption": caption} if caption else {})}


def _reasons(value: object, reading: Reading) -> dict[str, dict[str, str]]:
    if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
        raise ValueError(gettext("Write the reasons by the number of the goal."))
    reasons = {
        str(goal).rpartition("/")[2][:MAX_WORD]: _paragraphs(text, reading)
        for goal, text in value.items()
    }
    return {goal: texts for goal, texts in reasons.items() if texts}


# ---- the model


@dataclass(frozen=True, slots=True)
class Field:
    """A member or a *part* of it, as a field of the form and a column of a table.

    *control* is text, area, lines, date, select, checks, list or picture. *choices* names a list of
    ``choices``, *label* and *hint* are English texts. Texts have a language (*is_text*).
    """

    member: str
    part: str = ""
    control: str = "text"
    label: str = ""
    hint: str = ""
    choices: str = ""
    is_text: bool = False

    @property
    def title(self) -> str:
        return gettext(self.label) if self.label else MEMBERS[self.member].title

    @property
    def name(self) -> str:
        return self.member if self.part in ("", "id") else f"{self.member}-{self.part}"


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a member's value: how it is read, its *parts* if it has any, its *control* in the
    form, and how a cell of a table is filled in (*hint*).
    """

    read: Callable[[Any, Reading], Any]
    control: str = "text"
    parts: tuple[Field, ...] = ()
    is_text: bool = False  # by language
    is_list: bool = False
    hint: str = ""


_BY_LANGUAGE = "The language stands after the @; add columns for others."
TITLE = Kind(_texts, is_text=True, hint=_BY_LANGUAGE)
TEXT = Kind(_paragraphs, "area", is_text=True, hint=_BY_LANGUAGE)
WORDS = Kind(_words, "checks", is_list=True)  # codes, names or IRIs
WORD = Kind(_single, "select")
ADDRESSES = Kind(_addresses, "lines", is_list=True)
ADDRESS = Kind(_address)
DATE = Kind(_date, "date", hint="As year-month-day, such as 2026-05-31.")
PARTIES = Kind(_parties, "lines", is_list=True)
PARTY = Kind(
    _lead,
    parts=(
        Field("", "name", label="Name of the organization"),
        Field("", "classification", "select", "Type of organization", choices="stakeholder-type"),
        Field("", "country", "select", "Country of the organization", choices="country"),
    ),
)
PLACE = Kind(_place, parts=(Field("", "lat"), Field("", "long"), Field("", "label", is_text=True)))
REASONS = Kind(
    _reasons,
    "area",
    tuple(Field("", str(goal), "area", choices="goal", is_text=True) for goal in range(1, 18)),
)
PICTURE = Kind(
    _picture,
    parts=(
        Field("", "id", "picture", hint="JPEG, PNG, WebP or GIF, of at most 10 MB. The place and other data in the file are removed."),
        Field("", "caption", "text", "What the picture shows", "For those who cannot see it. Do not name persons.", is_text=True),
    ),
    hint="The address of a picture that was sent before, and what it shows; other addresses are refused.",
)  # fmt: skip
TYPE_LABELS = {
    "Initiative": "An initiative or project",
    "Event": "An event",
    "Document": "A document",
    "Post": "A post",
}
CLASS_IRIS = {
    "Initiative": "Initiative",
    "Event": f"{SCHEMA}Event",
    "Document": f"{FOAF}Document",
    "Post": f"{SIOC}Post",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its *kind*, its property (an IRI, in our ontology if it has no scheme), its English
    *label*, and the types that have it (*of*).

    Without a label it has that of the ontology. *hint*, *choices* and *control* are those of its
    field.
    """

    kind: Kind
    iri: str
    label: str = ""
    hint: str = ""
    choices: str = ""
    control: str = ""
    of: str = " ".join(TYPE_LABELS)

    @property
    def title(self) -> str:
        return gettext(self.label) if self.label else term_title(self.iri)

    def fields(self, name: str) -> tuple[Field, ...]:
        """Return the fields of the member with this name: one, or one for each part."""
        control = self.control or self.kind.control
        own = Field(name, "", control, self.label, self.hint, self.choices, self.kind.is_text)
        return tuple(replace(part, member=name) for part in self.kind.parts) or (own,)


_ONE_A_LINE, _DAY = "One on each line.", "As year-month-day, such as 2026-05-31."
_DATED = "Initiative Event"


# The members of a submission, in the order in which they are shown.
MEMBERS: Mapping[str, Member] = {
    "title": Member(TITLE, f"{DCT}title", "Title", "At most 300 characters."),
    "description": Member(
        TEXT,
        f"{DCT}description",
        "Description",
        "What is done, for whom, and what came of it. Do not name persons.",
    ),
    "content": Member(TEXT, f"{SIOC}content", "Text", of="Post"),
    "publisher": Member(PARTY, f"{DCT}publisher", "Organization"),
    "partner": Member(PARTIES, "partner", "Partners", _ONE_A_LINE),
    "funder": Member(PARTIES, f"{SCHEMA}funder", "Funders", _ONE_A_LINE),
    "country": Member(
        WORDS, f"{DCT}spatial", "Countries", "Choose as many as apply.", "country", "list"
    ),
    "developedIn": Member(WORDS, "developedIn", choices="country", of="Initiative"),
    "actionLine": Member(WORDS, "actionLine", "Action lines", choices="action-line"),
    "goal": Member(WORDS, "goal", "Goals", choices="goal"),
    "target": Member(WORDS, "target", "Targets", choices="target"),
    "why": Member(REASONS, "evidence", "Why these goals"),
    "subject": Member(WORDS, f"{DCAT}keyword", "Topics"),
    "activityType": Member(
        WORDS, "activityType", "Types of activity", choices="activity-type", of="Initiative"
    ),
    "status": Member(WORD, "status", choices="status", of="Initiative"),
    "coverage": Member(WORD, "coverage", choices="coverage", of="Initiative"),
    "start": Member(DATE, f"{SCHEMA}startDate", "Start", _DAY, of=_DATED),
    "end": Member(DATE, f"{SCHEMA}endDate", "End", "Leave it empty if it goes on.", of=_DATED),
    "plannedStart": Member(DATE, "plannedStartDate", of="Initiative"),
    "plannedEnd": Member(DATE, "plannedEndDate", of="Initiative"),
    "issued": Member(DATE, f"{DCT}issued", "Date of publication", _DAY, of="Document Post"),
    "place": Member(PLACE, f"{SCHEMA}location", "Place", of=_DATED),
    "venue": Member(TITLE, "venue", of="Event"),
    "registration": Member(
        ADDRESS,
        "registration",
        "Registration page",
        "Where participants register, with https://.",
        of="Event",
    ),
    "documentType": Member(WORD, f"{DCT}type", "Type of document", of="Document"),
    "language": Member(WORDS, f"{DCT}language", "Languages"),
    "page": Member(ADDRESSES, f"{FOAF}page", "Web pages", "One on each line, with https://."),
    "picture": Member(PICTURE, f"{SCHEMA}image", "Picture"),
    "license": Member(
        ADDRESS,
        f"{DCT}license",
        "Licence",
        "Under which others may use what you describe.",
        "licence",
        "select",
    ),
    "identifier": Member(WORDS, f"{DCT}identifier", "Identifiers"),
}
# The members of each class.
TYPES: Mapping[str, frozenset[str]] = {
    kind: frozenset(name for name, member in MEMBERS.items() if kind in member.of.split())
    for kind in TYPE_LABELS
}
TYPE = Field("type", control="select", label="Type", choices="type")
# All fields, by their path in a table, such as ``publisher.name``.
FIELDS: Mapping[str, Field] = {
    f"{field.member}.{field.part}" if field.part else field.member: field
    for field in (TYPE, *(each for name, member in MEMBERS.items() for each in member.fields(name)))
}
# Members of published JSON that the register writes itself. They are ignored, so that a person can
# change a published record and send it.
_OURS = re.compile(
    r"@context|id|included|claims|record|registry|relation|modified(At)?|lastReviewed(At)?|prize|amount|(crosswalked|suggested)[A-Z]\w+"
)


class InvalidMembersError(ParseError):
    """Members that are not valid: *faults* has a message for each, by member."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in faults.items()))
        self.faults = faults


def normalize(sent: object, base: str, language: str | None) -> Content:
    """Return the members that were sent, in the form that is stored; texts without a language are
    in *language*.

    Members that the register writes itself are left out. Raises InvalidMembersError, with all
    faults.
    """
    if not isinstance(sent, Mapping):
        raise InvalidMembersError({"type": gettext("Send one JSON object.")})
    kind = sent.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise InvalidMembersError(
            {"type": gettext("The type is one of %(names)s.") % {"names": ", ".join(TYPES)}}
        )
    reading = Reading(base, language)
    content: dict[str, Any] = {"type": kind}
    faults: dict[str, str] = {}
    for name, value in sent.items():
        if name not in TYPES[kind]:
            if name != "type" and not _OURS.fullmatch(str(name)):
                faults[str(name)[:MAX_WORD]] = _unknown(str(name)[:MAX_WORD], kind)
            continue
        try:
            if normalized := MEMBERS[name].kind.read(value, reading):
                content[name] = normalized
        except ValueError as error:
            faults[name] = str(error)
    require(not faults, InvalidMembersError(faults))
    return content


def _unknown(name: str, kind: str) -> str:
    text = gettext("%(type)s has no member of this name.") % {"type": kind}
    return f"{text} ({suggestion(name, TYPES[kind]).describe(gettext, format_number)})"


# ---- for readers


def readable(value: object) -> list[str]:
    """Return a normalized value as texts for readers; an IRI is replaced by its label in the
    language of the request.

    >>> readable({"en": "Plan"}), readable([{"name": "Ministry", "country": "KE"}]), readable({"4": {"en": "Because"}})
    (['en: Plan'], ['Ministry (KE)'], ['4: en: Because'])
    >>> readable(["http://metadata.un.org/sdg/codes/geoArea/404"])
    ['Kenya']
    """
    if isinstance(value, Mapping) and "name" in value:
        rest = ", ".join(_named(part) for key, part in value.items() if key != "name")
        return [f"{value['name']} ({rest})" if rest else str(value["name"])]
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, part in value.items() for text in readable(part)]
    if isinstance(value, list):
        return [text for item in value for text in readable(item)]
    return [] if value is None else [_named(value)]


def _named(value: object) -> str:
    text = str(value)
    return label(text, current_locale().language) or text


def shown_members(content: Content) -> list[tuple[str, list[str]]]:
    """Return the title of each member of *content*, with its value as texts."""
    return [
        (member.title, readable(content[name]))
        for name, member in MEMBERS.items()
        if content.get(name)
    ]


def labels() -> dict[str, str]:
    return {name: member.title for name, member in MEMBERS.items()}


def title_of(content: Content) -> str:
    """Return the first title, "" if there is none."""
    titles = content.get("title")
    return next(iter(titles.values()), "") if isinstance(titles, Mapping) else ""


# ---- the values that the form and the tables offer, with labels in the language of the request

Choice = tuple[str, str]  # the value that is sent, and its label
# Licences of records and works: https://spdx.org/licenses/ and
# https://creativecommons.org/licenses/
LICENCES = {
    "https://creativecommons.org/publicdomain/zero/1.0/": "CC0 1.0",
    "https://creativecommons.org/licenses/by/4.0/": "CC BY 4.0",
    "https://creativecommons.org/licenses/by-sa/4.0/": "CC BY-SA 4.0",
    "https://creativecommons.org/licenses/by/3.0/igo/": "CC BY 3.0 IGO",
}


def choices(name: str, base: str) -> tuple[Choice, ...]:
    """Return the choices of a list: of a concept scheme, or ``type``, ``country``, ``goal``,
    ``target``, ``licence``, ``language``.
    """
    if name == "type":
        return tuple((value, gettext(text)) for value, text in TYPE_LABELS.items())
    if name in ("language", "licence"):
        return tuple((LANGUAGES if name == "language" else LICENCES).items())
    return _concepts(name, base, current_locale().language)


@lru_cache(maxsize=64)
def _concepts(name: str, base: str, language: str) -> tuple[Choice, ...]:
    if name == "country":
        countries = (
            (iri, label(iri, language, base) or iri)
            for iri, concept in concepts("area", base).items()
            if f"{AREA}co" in concept.types
        )
        return tuple(sorted(countries, key=lambda choice: choice[1].casefold()))
    if name == "goal":
        return tuple(
            (f"{goal}", f"{goal}. {label(f'http://metadata.un.org/sdg/{goal}', language, base)}")
            for goal in range(1, 18)
        )
    written = {"target": "{0} {1}", "action-line": "{0}: {1}"}.get(name, "{1}")
    return tuple(
        (code, written.format(code, label(iri, language, base) or ""))
        for iri, concept in concepts("sdg" if name == "target" else name, base).items()
        for code in concept.notations[:1]
        if name != "target" or code.count(".") == 1
    )


def labels_of(values: Iterable[str], name: str, base: str) -> list[str]:
    """Return the labels of values, a value itself where the list does not have it."""
    known = dict(choices(name, base))
    return [known.get(value, value) for value in values]
