"""Define what a mapping is, and the rules that all mappings share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import Field

from harvesters.options import Options, one_of
from harvesters.page_model import Payload, Record
from harvesters.payloads.html_to_text import html_to_text
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_inline,
    parse_language,
    parse_languages,
    parse_titles,
    strip_contacts,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Party, Post, Resource, Role, Text
from vocab.iris import is_web

# The members whose texts lose their HTML, and the names of their fields in remarks.
_TEXTS = {"titles": "title", "descriptions": "description"}

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
    """A metadata schema. *build* returns the function that maps a source's records; *accepts* are
    the payload types that it reads.

    *kind* is the class of its records, unless the option ``kind`` or the field of that name says
    otherwise.
    """

    build: Callable[[Source, Crosswalks], Callable[[Record[Any]], Resource]]
    accepts: frozenset[Payload]
    kind: str = "initiative"
    options: type[Options] = Options

    def prepare(self, source: Source, crosswalks: Crosswalks) -> Callable[[Record[Any]], Resource]:
        """Return the function that maps the source's records; titles and descriptions are plain
        text.
        """
        mapper = self.build(source, crosswalks)

        def map_record(record: Record[Any]) -> Resource:
            resource = mapper(record)
            tag = record_language(resource.languages, source.language)
            return normalize_resource(resource, tag)

        return map_record


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


def normalize_resource(resource: Resource, tag: str | None = None) -> Resource:
    """Return the resource by the rules that all mappings share.

    Keywords without a language, which several mappings leave so, have *tag*.

    Titles and descriptions, those of files and results, and the content of a post have no HTML;
    ``markup`` names the resource's own fields that had any. Licences of SPDX are addresses, and a
    partner is one organization.
    """
    changed = _plain_fields(resource)
    if changed:
        changed["markup"] = resource.markup + tuple(_TEXTS[name] for name in changed)
    for name in ("files", "outcomes"):
        parts = getattr(resource, name, ())
        if parts and (plain := tuple(map(_plain_part, parts))) != parts:
            changed[name] = plain
    licences = tuple(dict.fromkeys(filter(None, map(parse_licence, resource.licences))))
    if licences != resource.licences:
        changed["licences"] = licences
    if any("|" in party.name.value for party in resource.parties):
        changed["parties"] = tuple(part for each in resource.parties for part in _divided(each))
    if tag and not all(text.language for text in resource.subjects):
        changed["subjects"] = tuple(
            [text if text.language else text._replace(language=tag) for text in resource.subjects]
        )
    if isinstance(resource, Post) and resource.content:
        changed["content"] = next(iter(_plain_texts((resource.content,), html_to_text)), None)
    return replace(resource, **changed) if changed else resource


def _divided(party: Party) -> Iterator[Party]:
    """Yield the partners whose names a table or form has in one cell, with bars between them."""
    names = [name for part in party.name.value.split("|") if (name := part.strip())]
    if party.role is not Role.PARTNER or len(names) < 2 or party.key or party.page:
        yield party
        return
    yield from (party._replace(name=party.name._replace(value=name)) for name in names)


def _plain_fields(resource: Any) -> dict[str, Any]:
    """Return the titles and descriptions that had HTML, without it."""
    changed: dict[str, Any] = {}
    for name in _TEXTS:
        texts = getattr(resource, name)
        form = _plain_line if name == "titles" else html_to_text
        if (plain := _plain_texts(texts, form)) is not texts and plain != texts:
            changed[name] = plain
    return changed


def _plain_part(part: Any) -> Any:
    changed = _plain_fields(part)
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
    try:
        name = canonicalize_license_expression(plain) if _SPDX.match(plain) else ""
    except InvalidLicenseExpression:
        name = ""
    return f"https://spdx.org/licenses/{name}" if name else plain


def _plain_line(text: str) -> str:
    return normalize_inline(html_to_text(text))


def _plain_texts(texts: tuple[Text, ...], form: Callable[[str], str]) -> tuple[Text, ...]:
    for text in texts:
        if "<" in text.value or "&" in text.value:
            return parse_titles((form(text.value), text.language) for text in texts)
    return texts
