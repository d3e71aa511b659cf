"""Labels of facets and their codes, in the language of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated

from babel import Locale
from fastapi import Depends

from languages.translations import TranslatableText, current_locale, term_title
from languages.translations import gettext as _
from publisher.data.properties import FACETS, concept_name
from publisher.pages import ServiceDep
from publisher.store.descriptions import registry_rows
from vocab.initiative import Basis
from vocab.iris import Iris

# "By 2030, " at the beginning of a target, in the languages of the United Nations
_DATE = re.compile(r"(?:[^,،]{0,24}?20[23]\d[^,،]{0,8}[,،]|К 20\d\d году,?)\s*(?=.)")


_TITLES = {
    "kind": TranslatableText("Type"),
    "goal": TranslatableText("SDG"),
    "basis": TranslatableText("How the link was made"),
    "country": TranslatableText("Country"),
    "area": TranslatableText("Area"),
    "region": TranslatableText("Region"),
    "stakeholder": TranslatableText("Stakeholder type"),
    "year": TranslatableText("Year"),
    "source": TranslatableText("Registry"),
    "language": TranslatableText("Language"),
    "document": TranslatableText("Document type"),
    "remark": TranslatableText("Records with quality warnings"),
}
# Facets that have the title of a term of our ontology.
_TERMS = {
    **{name: name for name in ("target", "coverage", "status")},
    "line": "actionLine",
    "type": "activityType",
    "prize": "prizeCategory",
    "stage": "prizeStage",
    "prizeyear": "prizeYear",
}
_PLURALS = {
    "line": TranslatableText("Action lines"),
    "goal": TranslatableText("SDGs"),
    "region": TranslatableText("Regions"),
    "area": TranslatableText("Areas"),
    "country": TranslatableText("Countries"),
    "source": TranslatableText("Registries"),
}
_KINDS = {
    "initiative": TranslatableText("Initiatives"),
    "event": TranslatableText("Events"),
    "document": TranslatableText("Documents"),
    "post": TranslatableText("Posts"),
    "organization": TranslatableText("Organizations"),
}
_BASES = {
    Basis.DECLARED.value: TranslatableText("stated by the registry"),
    Basis.CROSSWALKED.value: TranslatableText("mapped from the registry's code"),
    Basis.SUGGESTED.value: TranslatableText("suggested automatically"),
}


def facet_title(name: str) -> str:
    return term_title(_TERMS[name]) if name in _TERMS else _(_TITLES[name])


def plural_title(name: str) -> str:
    return _(_PLURALS[name])


def basis_title(basis: str) -> str:
    return _(_BASES[basis]) if basis in _BASES else basis


@dataclass(frozen=True, slots=True)
class FacetLabels:
    """Labels of codes; *sources* are the titles of the registries by name."""

    iris: Iris
    sources: Mapping[str, str] = field(default_factory=dict)

    def name(self, facet: str, code: str) -> str:
        language = current_locale().language
        match facet:
            case "kind":
                return _(_KINDS[code]) if code in _KINDS else code
            case "basis":
                return basis_title(code)
            case "source":
                return self.sources.get(code, code)
            case "language":
                return _language(code, language)
            case _:
                address = FACETS[facet].iri(code, self.iris)
                return concept_name(address, language, self.iris.base) or code

    def short(self, facet: str, code: str) -> str:
        """Return the label of a code, after the code itself where people know it. Half of the
        targets begin with the same date, so that a list would show nothing else of them; it is
        left out.
        """
        name = self.name(facet, code)
        if facet == "target" and (date := _DATE.match(name)):
            name = name[date.end()].upper() + name[date.end() + 1 :]
        return (
            f"{code} {name}"
            if facet in ("line", "target") and name != code
            else f"{code}. {name}"
            if facet == "goal" and name != code
            else name
        )

    def page(self, facet: str, code: str) -> str:
        """Return the URL of the page of a code, or of a search for it."""
        address = FACETS[facet].iri(code, self.iris)
        if facet == "source":
            return f"/source/{code}"
        if FACETS[facet].scheme and address.startswith("http://metadata.un.org/sdg/"):
            return f"/concept?iri={address}"
        return (
            "/" + address.removeprefix(self.iris.base)
            if FACETS[facet].scheme and address.startswith(self.iris.base)
            else f"/search?{facet}={code}"
        )


@cache
def _language(code: str, language: str) -> str:
    named = Locale.parse(language).languages.get(code)
    return str(named)[:1].upper() + str(named)[1:] if named else code


async def get_names(service: ServiceDep) -> FacetLabels:
    """Return the labels of facets and their codes, with the titles of the registries."""
    sources = {name: str(row["title"]) for name, row in (await registry_rows(service)).items()}
    return FacetLabels(service.iris, sources)


NamesDep = Annotated[FacetLabels, Depends(get_names)]
