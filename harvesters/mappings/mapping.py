"""Define what a mapping is, the registry of mappings, and the rules that all mappings share: the
form of texts and licences, and a language for texts that declare none, marked as detected.

Source: https://github.com/adbar/py3langid (97 languages and more, by Naive Bayes over byte n-grams)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from typing import Annotated, Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import Field

from harvesters.options import LazyRegistry, Options, one_of
from harvesters.page_model import Payload, Record
from harvesters.payloads.value_parsing import (
    KINDS,
    html_to_text,
    normalize_inline,
    parse_language,
    parse_languages,
    parse_titles,
    strip_contacts,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Detection, Party, Resource, Role, Text
from vocab.iris import is_web

# The codes of ISO 639 for several, uncoded, undetermined and no languages.
_NO_LANGUAGES = frozenset(("mul", "mis", "und", "zxx"))
# It matches one identifier, but no expression and no reference to another document.
_SPDX = re.compile(r"(?!LicenseRef)[A-Za-z0-9][A-Za-z0-9.-]*\Z")
_LICENCE_CACHE_SIZE = 1024  # A registry uses a few licences.
_LANGUAGE_CACHE_SIZE = 256  # A registry writes its languages in a few ways.


Kind = Annotated[str, one_of(KINDS)]  # This option names the class of the records.


class DocumentOptions(Options):
    """The options of a mapping whose records are documents."""

    kind: Kind = Field(
        "document",
        description="The class of the records: `initiative`, `event`, `document` or `post`.",
    )


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """A metadata schema. *prepare* returns the function that maps a source's records, by the rules
    of ``normalize_members``; *accepts* are the payload types that it reads.

    *kind* is the class of its records, unless the option ``kind`` or the field of that name says
    otherwise.
    """

    prepare: Callable[[Source, Crosswalks], Callable[[Record[Any]], Resource]]
    accepts: frozenset[Payload]
    kind: str = "initiative"
    options: type[Options] = Options


@lru_cache(_LANGUAGE_CACHE_SIZE)
def record_language(words: tuple[str, ...], default: str | None) -> str | None:
    """Return the one language that a record states; None if it states none or several."""
    tags = {parse_language(word) for word in parse_languages(words)}
    tag = tags.pop() if len(tags) == 1 else None
    if tag is None or tag in _NO_LANGUAGES:
        return None
    # The "en_US" that a repository's software writes is the same language as the definition's "en".
    is_same = default is not None and tag.partition("-")[0] == default.partition("-")[0]
    return default if is_same else tag


def normalize_members(values: dict[str, Any], tag: str | None = None) -> None:
    """Change the members of a resource by the rules that all mappings share.

    Keywords without a language, which several mappings leave so, have *tag*.

    Titles and descriptions, those of files and results, and the content of a post have no HTML;
    ``markup`` names the resource's own fields that had any. Licences of SPDX are addresses, and a
    partner is one organization.
    """
    if changed := _plain_fields(values.get):
        values |= changed
        values["markup"] = values.get("markup", ()) + tuple(_TEXTS[name][0] for name in changed)
    for name in ("files", "outcomes"):
        if parts := values.get(name):
            values[name] = tuple(map(_plain_part, parts))
    licences = map(parse_licence, values.get("licences", ()))
    values["licences"] = tuple(dict.fromkeys(filter(None, licences)))
    parties = values.get("parties", ())
    values["parties"] = tuple([part for each in parties for part in _divided(each)])
    subjects = values.get("subjects", ())
    if tag and not all(text.language for text in subjects):
        values["subjects"] = tuple(
            [text if text.language else text._replace(language=tag) for text in subjects]
        )
    if content := values.get("content"):
        values["content"] = next(iter(_plain_texts((content,), html_to_text)), None)


def _divided(party: Party) -> list[Party]:
    """Return the partners whose names a table or form has in one cell, with bars between them."""
    if "|" not in party.name.value or party.role is not Role.PARTNER or party.key or party.page:
        return [party]
    names = [name for part in party.name.value.split("|") if (name := part.strip())]
    return [party._replace(name=party.name._replace(value=name)) for name in names]


def _plain_fields(read: Callable[[str], Any]) -> dict[str, Any]:
    """Return the titles and descriptions that had HTML, without it; *read* returns those by name."""
    texts = {name: read(name) or () for name in _TEXTS}
    plain = {name: _plain_texts(texts[name], form) for name, (_, form) in _TEXTS.items()}
    return {name: plain[name] for name in _TEXTS if plain[name] != texts[name]}


def _plain_part(part: Any) -> Any:
    changed = _plain_fields(partial(getattr, part))
    return part._replace(**changed) if changed else part


@lru_cache(_LICENCE_CACHE_SIZE)
def parse_licence(text: str) -> str:
    """Return the address of a licence that is an identifier of SPDX, else the text without HTML and
    contacts, which would withhold the record.

    Source: https://spdx.org/licenses/

    >>> parse_licence("mpl-2.0"), parse_licence("<b>Own</b> licence")
    ('https://spdx.org/licenses/MPL-2.0', 'Own licence')
    """
    if is_web(text):
        return text
    plain = strip_contacts(_plain_line(text))
    with suppress(InvalidLicenseExpression):
        if _SPDX.match(plain):
            return f"https://spdx.org/licenses/{canonicalize_license_expression(plain)}"
    return plain


def _plain_line(text: str) -> str:
    return normalize_inline(html_to_text(text))


def _plain_texts(texts: tuple[Text, ...], form: Callable[[str], str]) -> tuple[Text, ...]:
    for text in texts:
        if "<" in text.value or "&" in text.value:
            return parse_titles((form(text.value), text.language) for text in texts)
    return texts


# The members whose texts lose their HTML, with the names of their fields in remarks.
_TEXTS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "titles": ("title", _plain_line),
    "descriptions": ("description", html_to_text),
}


MAPPINGS: Mapping[str, RecordMapping] = LazyRegistry(
    {
        "oai_dc": "harvesters.mappings.oai_dc",
        "mods": "harvesters.mappings.mods",
        "datacite": "harvesters.mappings.datacite",
        "ckan_package": "harvesters.mappings.ckan_package",
        "dpg_nominee": "harvesters.mappings.dpg_nominee",
        "iati_activity": "harvesters.mappings.iati_activity",
        "iso_19115": "harvesters.mappings.iso_19115",
        "dif": "harvesters.mappings.dif",
        "cerif": "harvesters.mappings.cerif",
        "dcat": "harvesters.mappings.dcat",
        "schema_org": "harvesters.mappings.schema_org",
        "stocktake_record": "harvesters.mappings.stocktake_record",
        "feed_entry": "harvesters.mappings.feed_entry",
        "ical_event": "harvesters.mappings.ical_event",
        "fields": "harvesters.mappings.fields",
        "submission": "harvesters.mappings.submission",
    },
    "MAPPING",
    "stocktake.mappings",
    RecordMapping,
)


MIN_CONFIDENCE = 0.9  # Below it no language is stated; short texts rarely reach it.
# A text with at least so many letters is examined by itself, a shorter one together with the record's
# other texts.
_LONG_LETTERS = 80
_MIN_LETTERS = 12  # Fewer letters in all texts together show no language.
_MAX_CHARACTERS = 4000  # Characters that are examined.
_CANDIDATES = 5  # The most likely languages: the others' confidence is near zero.
_NO_LANGUAGE = "zxx"  # The code for content that is not in any language.
# Members of a macrolanguage (ISO 639-3) that can hardly be distinguished in writing.
_MACROLANGUAGES = {"ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
_DETECTED_FIELDS = {
    "titles": "title",
    "descriptions": "description",
    "venue": "venue",
    "content": "content",
}


def detect_languages(resource: Resource) -> Resource:
    """Return the resource with a detected language for each text without one, if it is clear;
    declared languages stay.

    Names of organizations and subjects are skipped: a word or two are too short to detect.
    """
    texts = {name: getattr(resource, name, None) or () for name in _DETECTED_FIELDS}
    untagged = {
        name: [text for text in _as_tuple(value) if text.language is None]
        for name, value in texts.items()
    }
    all_text = " ".join(text.value for values in untagged.values() for text in values)
    changed: dict[str, Any] = {}
    detections: dict[tuple[str, str], float] = {}
    for name, values in untagged.items():
        results = {text: result for text in values if (result := _detect(text.value, all_text))}
        for language, confidence in results.values():
            field = _DETECTED_FIELDS[name], language
            detections[field] = min(confidence, detections.get(field, 1.0))
        if results:
            tagged = tuple(
                text._replace(language=results[text][0]) if text in results else text
                for text in _as_tuple(texts[name])
            )
            changed[name] = tagged[0] if isinstance(texts[name], Text) else tagged
    if not changed:
        return resource
    detected = tuple(Detection(*field, confidence) for field, confidence in detections.items())
    return replace(resource, **changed, detected=detected)


def _as_tuple(value: Text | tuple[Text, ...]) -> tuple[Text, ...]:
    # A text is a tuple itself.
    return (value,) if isinstance(value, Text) else value


def _detect(text: str, all_text: str) -> tuple[str, float] | None:
    is_long = sum(map(str.isalpha, text[:_MAX_CHARACTERS])) >= _LONG_LETTERS
    return _rank((text if is_long else all_text)[:_MAX_CHARACTERS])


@lru_cache(maxsize=256)
def _rank(text: str) -> tuple[str, float] | None:
    if sum(map(str.isalpha, text)) < _MIN_LETTERS:
        return None
    sums: Counter[str] = Counter()
    for language, confidence in _identifier().rank(text)[:_CANDIDATES]:
        sums[_MACROLANGUAGES.get(language, str(language))] += confidence
    language, confidence = sums.most_common(1)[0]
    is_clear = confidence >= MIN_CONFIDENCE and language != _NO_LANGUAGE
    return (language, min(1.0, round(float(confidence), 3))) if is_clear else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Import the library and load the model on first use: it takes some seconds and 120 MB."""
    langid = import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
