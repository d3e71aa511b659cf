"""Success stories by year and category, the highest stage first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from languages.request_locale import current_locale
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import sort_key
from publisher.projections.facets.queries import Prize
from publisher.rdf.results import iri
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.schemes import label

_STAGES = ("winner", "champion", "nominee")  # the highest first


class PrizeCategory(NamedTuple):
    """A category of prizes in a year, with each prize and the name of its stage."""

    code: str
    name: str
    prizes: tuple[tuple[Prize, str], ...]


class PrizeYear(NamedTuple):
    """A year of prizes; "" if the year is not known."""

    year: str
    categories: tuple[PrizeCategory, ...]


class Award(NamedTuple):
    """A prize in the record of a contest: the IRI of its thing, and its names in the language of
    the request, "" where there is none.
    """

    iri: str
    year: str
    category: str
    stage: str
    name: str


async def awards_of(service: QueryService, thing: str) -> list[Award]:
    """Return the prizes for which other records name a thing, the newest first: those of a contest
    have records of their own.
    """
    rows = await service.rows(query("awards-of"), {"thing": iri(thing)})
    language, base = current_locale().language, service.iris.base
    texts: dict[tuple[str, str, str, str], dict[str | None, str]] = {}
    for row in rows:
        stage, year = row.get("stage"), row.get("year")
        facts = (
            row["award"].value,
            year.value if year else "",
            label(row["category"].value, language, base) or row["category"].value,
            (label(stage.value, language, base) or stage.value) if stage else "",
        )
        name = row.get("name")
        texts.setdefault(facts, {})[name.language if name else None] = name.value if name else ""
    awards = [
        Award(*facts, names.get(language) or names.get("en") or next(iter(names.values())))
        for facts, names in texts.items()
    ]
    return sorted(awards, key=lambda award: (award.year, award.iri), reverse=True)


def prizes_by_year(prizes: Iterable[Prize], names: FacetLabels) -> list[PrizeYear]:
    """Sort prizes into years, the newest first, and categories in the order of their codes."""
    by_year: dict[str, dict[str, list[Prize]]] = {}
    for item in prizes:
        by_year.setdefault(item.year or "", {}).setdefault(item.category or "", []).append(item)
    return [
        PrizeYear(
            year,
            tuple(_category(code, them, names) for code, them in _sorted_categories(by_year[year])),
        )
        for year in sorted(by_year, reverse=True)
    ]


def _sorted_categories(by_category: dict[str, list[Prize]]) -> list[tuple[str, list[Prize]]]:
    return sorted(by_category.items(), key=lambda pair: sort_key("goal", pair[0], 0))


def _category(code: str, prizes: list[Prize], names: FacetLabels) -> PrizeCategory:
    ranked = sorted(
        prizes,
        key=lambda item: (
            _STAGES.index(item.stage) if item.stage in _STAGES else len(_STAGES),
            item.title or "",
            item.iri,
        ),
    )
    return PrizeCategory(
        code,
        names.name("prize", code) if code else "",
        tuple((item, names.name("stage", item.stage) if item.stage else "") for item in ranked),
    )
