"""Define the members of a submission, a part of our own JSON, and bring what was sent into one
form.

Normalized, a text is an object of texts by language, a list is a list of texts, an organization is
an object with its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from harvesters.errors import ParseError
from harvesters.ledger.participation.models import Content
from harvesters.options import suggestion
from harvesters.payloads.html_to_text import html_to_text
from harvesters.payloads.value_parsing import normalize_inline, parse_language
from languages.request_locale import current_locale
from languages.translations import format_number, gettext, term_title
from vocab.iris import Iris, is_web
from vocab.schemes import label
from vocab.terms import DCAT, DCT, FOAF, SCHEMA, SIOC

MAX_TITLE, MAX_TEXT, MAX_WORD, MAX_ADDRESS = 300, 20_000, 300, 2_000  # characters
MAX_ITEMS = 50  # of a list, and languages of a text
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?(T[0-9:.]+(Z|[+-]\d\d:?\d\d)?)?\Z", re.ASCII)
_PICTURE = re.compile(r"[0-9a-f]{64}\.webp\Z", re.ASCII)  # the name of a stored picture
_KEPT = "\n\t\u200c\u200d"  # line ends, and the joiners that some scripts need


class Kind(Enum):
    """The form of a member's value."""

    TITLE = auto()  # one line, by language
    TEXT = auto()  # paragraphs, by language
    WORDS = auto()  # codes, names or IRIs
    WORD = auto()
    ADDRESSES = auto()
    ADDRESS = auto()
    DATE = auto()
    PARTY = auto()
    PARTIES = auto()
    PLACE = auto()
    REASONS = auto()  # texts by the number of a goal
    PICTURE = auto()


@dataclass(frozen=True, slots=True)
class MemberDefinition:
    """A member: its *kind*, its property (an IRI, in our ontology if it has no scheme), and its
    English *label*.

    Without a label it is named by the ontology.
    """

    kind: Kind
    property: str
    label: str = ""

    def title(self) -> str:
        """Return the name of the member in the language of the request."""
        return gettext(self.label) if self.label else term_title(self.property)


MEMBERS: Mapping[str, MemberDefinition] = {
    "title": MemberDefinition(Kind.TITLE, f"{DCT}title", "Title"),
    "description": MemberDefinition(Kind.TEXT, f"{DCT}description", "Description"),
    "content": MemberDefinition(Kind.TEXT, f"{SIOC}content", "Text"),
    "publisher": MemberDefinition(Kind.PARTY, f"{DCT}publisher", "Organization"),
    "partner": MemberDefinition(Kind.PARTIES, "partner", "Partners"),
    "funder": MemberDefinition(Kind.PARTIES, f"{SCHEMA}funder", "Funders"),
    "country": MemberDefinition(Kind.WORDS, f"{DCT}spatial", "Countries"),
    "developedIn": MemberDefinition(Kind.WORDS, "developedIn"),
    "actionLine": MemberDefinition(Kind.WORDS, "actionLine", "Action lines"),
    "goal": MemberDefinition(Kind.WORDS, "goal", "Goals"),
    "target": MemberDefinition(Kind.WORDS, "target", "Targets"),
    "why": MemberDefinition(Kind.REASONS, "evidence", "Why these goals"),
    "subject": MemberDefinition(Kind.WORDS, f"{DCAT}keyword", "Topics"),
    "activityType": MemberDefinition(Kind.WORDS, "activityType", "Types of activity"),
    "status": MemberDefinition(Kind.WORD, "status"),
    "coverage": MemberDefinition(Kind.WORD, "coverage"),
    "start": MemberDefinition(Kind.DATE, f"{SCHEMA}startDate", "Start"),
    "end": MemberDefinition(Kind.DATE, f"{SCHEMA}endDate", "End"),
    "plannedStart": MemberDefinition(Kind.DATE, "plannedStartDate"),
    "plannedEnd": MemberDefinition(Kind.DATE, "plannedEndDate"),
    "issued": MemberDefinition(Kind.DATE, f"{DCT}issued", "Date"),
    "place": MemberDefinition(Kind.PLACE, f"{SCHEMA}location", "Place"),
    "venue": MemberDefinition(Kind.TITLE, "venue"),
    "registration": MemberDefinition(Kind.ADDRESS, "registration", "Registration page"),
    "documentType": MemberDefinition(Kind.WORD, f"{DCT}type", "Type of document"),
    "language": MemberDefinition(Kind.WORDS, f"{DCT}language", "Languages"),
    "page": MemberDefinition(Kind.ADDRESSES, f"{FOAF}page", "Web pages"),
    "picture": MemberDefinition(Kind.PICTURE, f"{SCHEMA}image", "Picture"),
    "license": MemberDefinition(Kind.ADDRESS, f"{DCT}license", "Licence"),
    "identifier": MemberDefinition(Kind.WORDS, f"{DCT}identifier", "Identifiers"),
}
_DATED = ("start", "end", "place")
_OF_ALL = frozenset(MEMBERS) - {"content", "developedIn", "activityType", "status", "coverage", "plannedStart", "plannedEnd", "issued",
                                "venue", "registration", "documentType", *_DATED}  # fmt: skip
# The members of each class.
TYPES: Mapping[str, frozenset[str]] = {
    "Initiative": _OF_ALL
    | {"developedIn", "activityType", "status", "coverage", "plannedStart", "plannedEnd", *_DATED},
    "Event": _OF_ALL | {"venue", "registration", *_DATED},
    "Document": _OF_ALL | {"documentType", "issued"},
    "Post": _OF_ALL | {"content", "issued"},
}
CLASS_IRIS = {
    "Initiative": "Initiative",
    "Event": f"{SCHEMA}Event",
    "Document": f"{FOAF}Document",
    "Post": f"{SIOC}Post",
}
# Members of published JSON that the register writes itself: a record that was read here may be sent
# back changed.
_OURS = re.compile(
    r"@context|id|included|claims|record|registry|relation|modified(At)?|lastReviewed(At)?|prize|amount|(crosswalked|suggested)[A-Z]\w+"
)


class InvalidMembersError(ParseError):
    """Members that are not valid: *faults* has a message for each, by member."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in faults.items()))
        self.faults = faults


def normalize(sent: object, base: str, language: str | None) -> Content:
    """Return the members of what was sent in the form that is stored; texts without a language are
    in *language*.

    Members of published JSON that the register writes itself are left out. Raises
    InvalidMembersError, with all faults.
    """
    if not isinstance(sent, Mapping):
        raise InvalidMembersError({"type": gettext("Send one JSON object.")})
    kind = sent.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise InvalidMembersError(
            {"type": gettext("The type is one of %(names)s.") % {"names": ", ".join(TYPES)}}
        )
    faults: dict[str, str] = {}
    content: dict[str, Any] = {"type": kind}
    for name, value in sent.items():
        if name == "type" or _OURS.fullmatch(str(name)):
            continue
        if name not in TYPES[kind]:
            faults[str(name)[:MAX_WORD]] = _unknown(str(name)[:MAX_WORD], kind)
            continue
        try:
            normalized = _Reader(base, language).read(MEMBERS[name].kind, value)
        except ValueError as error:
            faults[name] = str(error)
        else:
            if normalized:
                content[name] = normalized
    if faults:
        raise InvalidMembersError(faults)
    return content


def written(value: object) -> list[str]:
    """Return a normalized value as texts for readers: a country, whose value is an IRI, by its name
    in the language of the request.

    >>> written({"en": "Plan"}), written([{"name": "Ministry", "country": "KE"}]), written({"4": {"en": "Because"}})
    (['en: Plan'], ['Ministry (KE)'], ['4: en: Because'])
    >>> written(["http://metadata.un.org/sdg/codes/geoArea/404"])
    ['Kenya']
    """
    if isinstance(value, Mapping) and "name" in value:
        rest = ", ".join(_named(part) for key, part in value.items() if key != "name")
        return [f"{value['name']} ({rest})" if rest else str(value["name"])]
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, part in value.items() for text in written(part)]
    if isinstance(value, list):
        return [text for item in value for text in written(item)]
    return [] if value is None else [_named(value)]


def _named(value: object) -> str:
    text = str(value)
    return label(text, current_locale().language) or text


def title_of(content: Content) -> str:
    """Return the first title, "" if there is none."""
    titles = content.get("title")
    return next(iter(titles.values()), "") if isinstance(titles, Mapping) else ""


def _unknown(name: str, kind: str) -> str:
    text = gettext("%(type)s has no member of this name.") % {"type": kind}
    return f"{text} ({suggestion(name, TYPES[kind]).describe(gettext, format_number)})"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Brings values into the form that is stored; raises ValueError with what is wrong, in the
    language of the request.
    """

    base: str
    language: str | None

    def read(self, kind: Kind, value: object) -> Any:
        """Return a value, or something empty."""
        if kind in (Kind.TITLE, Kind.TEXT):
            return self._by_language(
                value, MAX_TITLE if kind is Kind.TITLE else MAX_TEXT, inline=kind is Kind.TITLE
            )
        if kind in (Kind.WORDS, Kind.ADDRESSES):
            limit = MAX_ADDRESS if kind is Kind.ADDRESSES else MAX_WORD
            words = [self._word(item, limit) for item in _items(value)]
            return list(
                dict.fromkeys(_web(words) if kind is Kind.ADDRESSES else filter(None, words))
            )
        if kind in (Kind.PARTY, Kind.PARTIES):
            parties = [self._party(item) for item in _items(value)]
            if kind is Kind.PARTY and len(parties) > 1:
                raise ValueError(gettext("Name one organization; others are partners."))
            return parties if kind is Kind.PARTIES else parties[0] if parties else None
        if kind is Kind.PLACE:
            return self._place(_one(value))
        if kind is Kind.REASONS:
            return self._reasons(value)
        if kind is Kind.PICTURE:
            return self._picture(_one(value))
        word = self._word(_one(value), MAX_ADDRESS)
        return (
            _web([word])[0]
            if kind is Kind.ADDRESS and word
            else _date(word)
            if kind is Kind.DATE
            else word
        )

    def _word(self, value: object, limit: int) -> str:
        if isinstance(value, Mapping) and isinstance(value.get("id"), str):
            value = value["id"]
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, str | int | float)
        ):
            raise ValueError(gettext("Write text here."))
        word = normalize_inline(_clean(value) if isinstance(value, str) else value)
        _check_length(word, limit)
        return self._code(word)

    def _code(self, word: str) -> str:
        """Return the code of a concept of ours, as it ends its IRI."""
        return word.rpartition("/")[2] if word.startswith(f"{self.base}scheme/") else word

    def _by_language(self, value: object, limit: int, *, inline: bool) -> dict[str, str]:
        if isinstance(value, str):
            value = {"@none": value}
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise ValueError(gettext("Write text here, by language if there are several."))
        if len(value) > MAX_ITEMS:
            raise ValueError(gettext("There can be at most %(count)s.") % {"count": MAX_ITEMS})
        return dict(self._texts(value, limit, inline=inline))

    def _texts(
        self, value: Mapping[Any, Any], limit: int, *, inline: bool
    ) -> Iterator[tuple[str, str]]:
        for tag, text in value.items():
            if isinstance(text, list) and len(text) == 1:
                text = text[0]
            if not isinstance(text, str):
                raise ValueError(gettext("Write text here, by language if there are several."))
            cleaned = html_to_text(_clean(text))
            cleaned = normalize_inline(cleaned) if inline else cleaned.strip()
            _check_length(cleaned, limit)
            language = self.language if tag == "@none" else parse_language(str(tag)[:MAX_WORD])
            if cleaned and not language:
                raise ValueError(gettext("State the language of the text, such as “en”."))
            if cleaned and language:
                yield language, cleaned

    def _party(self, value: object) -> dict[str, str]:
        party = value if isinstance(value, Mapping) else {"name": value}
        name = party.get("name")
        if isinstance(name, Mapping):
            name = next(iter(name.values()), "")
        word = self._word(name, MAX_WORD)
        if not word or is_web(word):
            raise ValueError(gettext("Name the organization."))
        rest = {
            key: self._word(next(iter(_items(party[key])), ""), MAX_WORD)
            for key in ("country", "classification")
            if party.get(key)
        }
        return {"name": word, **rest}

    def _place(self, value: object) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise ValueError(gettext("A place is an object with lat, long and label."))
        label = self._by_language(value.get("label"), MAX_TITLE, inline=True)
        numbers = {name: self._word(value.get(name), MAX_WORD) for name in ("lat", "long")}
        for number, most in zip(numbers.values(), (90, 180), strict=True):
            if (
                not re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,15})?", number)
                or abs(float(number)) > most
            ):
                raise ValueError(gettext("Write latitude and longitude as decimal degrees."))
        return {**numbers, **({"label": label} if label else {})}

    def _picture(self, value: object) -> dict[str, Any]:
        """Return the name of a picture that was sent before, and what it shows."""
        about = value if isinstance(value, Mapping) else {"id": value}
        name = self._word(_one(about.get("id")), MAX_ADDRESS).removeprefix(
            Iris(self.base).picture("")
        )
        if not name:
            return {}
        if not _PICTURE.match(name):
            raise ValueError(gettext("Send the picture first; its “id” is in the answer."))
        caption = self._by_language(about.get("caption"), MAX_TITLE, inline=True)
        return {"id": name, **({"caption": caption} if caption else {})}

    def _reasons(self, value: object) -> dict[str, dict[str, str]]:
        if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
            raise ValueError(gettext("Write the reasons by the number of the goal."))
        reasons = {
            str(goal).rpartition("/")[2][:MAX_WORD]: self._by_language(text, MAX_TEXT, inline=False)
            for goal, text in value.items()
        }
        return {goal: texts for goal, texts in reasons.items() if texts}


def _items(value: object) -> list[Any]:
    items = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    if len(items) > MAX_ITEMS:
        raise ValueError(gettext("There can be at most %(count)s.") % {"count": MAX_ITEMS})
    return items


def _one(value: object) -> object:
    items = _items(value)
    if len(items) > 1:
        raise ValueError(gettext("There can be one only."))
    return items[0] if items else None


def _clean(text: str) -> str:
    """Return a text without control characters, and without those that change the direction of the
    text around it.
    """
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


def _web(words: Iterable[str]) -> list[str]:
    addresses = [word for word in words if word]
    for address in addresses:
        if not is_web(address):
            raise ValueError(gettext("Write a web address that begins with https://."))
    return addresses


def _date(word: str) -> str:
    if word and not _DATE.match(word):
        raise ValueError(gettext("Write the date as year-month-day, such as 2026-05-31."))
    return word
