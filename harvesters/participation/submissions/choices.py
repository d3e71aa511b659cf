"""The values that the form offers, with labels in the language of the request."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from languages.request_locale import LANGUAGES, current_locale
from languages.translations import gettext
from vocab.countries import AREA
from vocab.schemes import concepts, label

Choice = tuple[str, str]  # the value that is sent, and its label

# Licences of records and works: https://spdx.org/licenses/ and
# https://creativecommons.org/licenses/
LICENCES = {
    "https://creativecommons.org/publicdomain/zero/1.0/": "CC0 1.0",
    "https://creativecommons.org/licenses/by/4.0/": "CC BY 4.0",
    "https://creativecommons.org/licenses/by-sa/4.0/": "CC BY-SA 4.0",
    "https://creativecommons.org/licenses/by/3.0/igo/": "CC BY 3.0 IGO",
}
TYPE_LABELS = {
    "Initiative": "An initiative or project",
    "Event": "An event",
    "Document": "A document",
    "Post": "A post",
}


def choices(name: str, base: str) -> tuple[Choice, ...]:
    """Return the choices of a list: of a concept scheme, or ``type``, ``country``, ``goal``,
    ``target``, ``licence``, ``language``.
    """
    if name == "type":
        return tuple((value, gettext(text)) for value, text in TYPE_LABELS.items())
    if name == "language":
        return tuple(LANGUAGES.items())
    if name == "licence":
        return tuple(LICENCES.items())
    return _concepts(name, base, current_locale().language)


@lru_cache(maxsize=64)
def _concepts(name: str, base: str, language: str) -> tuple[Choice, ...]:
    if name == "country":
        countries = (
            iri for iri, concept in concepts("area", base).items() if f"{AREA}co" in concept.types
        )
        return tuple(
            sorted(
                ((iri, label(iri, language, base) or iri) for iri in countries),
                key=lambda choice: choice[1].casefold(),
            )
        )
    if name == "goal":
        return tuple(
            (
                str(number),
                f"{number}. {label(f'http://metadata.un.org/sdg/{number}', language, base)}",
            )
            for number in range(1, 18)
        )
    if name == "target":
        numbers = (
            (iri, number)
            for iri, concept in concepts("sdg", base).items()
            for number in concept.notations[:1]
        )
        return tuple(
            (number, f"{number} {label(iri, language, base) or ''}")
            for iri, number in numbers
            if number.count(".") == 1
        )
    numbered = name == "action-line"
    listed = (
        (concept.notations[0], label(iri, language, base) or "")
        for iri, concept in concepts(name, base).items()
        if concept.notations
    )
    return tuple((code, f"{code}: {text}" if numbered else text) for code, text in listed)


def labels_of(values: Iterable[str], name: str, base: str) -> list[str]:
    """Return the labels of values, a value itself where the list does not have it."""
    known = dict(choices(name, base))
    return [known.get(value, value) for value in values]
