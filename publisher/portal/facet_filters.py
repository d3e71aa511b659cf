"""The filters of a request: their figures, and the facets of a search: values with counts, and the
URLs that add or remove them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote_plus

from fastapi import Depends
from starlette.datastructures import QueryParams
from starlette.requests import Request

from languages.translations import current_locale
from publisher.data import count_queries
from publisher.data.properties import FACETS
from publisher.data.tables import NONE, Filter, ThingCount
from publisher.errors import QueryError
from publisher.pages import TablesDep
from publisher.portal.facet_labels import FacetLabels, NamesDep, facet_title
from publisher.portal.figures import Figures, query_page_url, sort_key
from vocab.initiative import Basis
from vocab.iris import KINDS

VISIBLE_VALUES = 8  # values of a facet that are visible; the others are collapsed
MAX_VALUES = 80  # values of a facet
MOST_SELECTED = 50  # largest number of values in a search
FILTER_FACETS = (
    "kind",
    "line",
    "goal",
    "target",
    "basis",
    "country",
    "region",
    "stakeholder",
    "coverage",
    "status",
    "type",
    "year",
    "source",
    "language",
)


def chosen_codes(filters: Filter, *without: str) -> list[tuple[str, str]]:
    """Return each facet and code of a filter, without the kind of things and facets *without*."""
    return [
        (facet, code)
        for facet, codes in filters.chosen
        if facet not in ("kind", *without)
        for code in codes
    ]


def active_filters(names: FacetLabels) -> list[dict[str, str]]:
    """Return the filters in the URL of the request, in order: *facet*, *name*, and *href*, the URL of
    the page without it.
    """
    sent = _sent_parameters()
    chosen = dict.fromkeys((name, value) for name, value in sent if name in FACETS)
    return [
        {
            "facet": facet_title(facet),
            "name": names.short(facet, code.strip()),
            "href": current_locale().path
            + _query([pair for pair in sent if pair != (facet, code)]),
        }
        for facet, code in chosen
    ]


def _sent_parameters() -> list[tuple[str, str]]:
    """Return the parameters of the request that its other pages have too."""
    return [
        (name, value)
        for name, value in QueryParams(current_locale().query).multi_items()
        if value and name not in ("page", "format", "lang")
    ]


def _query(pairs: list[tuple[str, str]]) -> str:
    return f"?{QueryParams(pairs)}" if pairs else ""


def facet_parameters() -> list[dict[str, object]]:
    """Return the parameters of ``parse_filters`` as OpenAPI Parameter objects."""
    known = {"kind": list(KINDS), "basis": [basis.value for basis in Basis]}
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Only things with one of these values of the facet {name}",
            "schema": {
                "type": "array",
                "maxItems": MOST_SELECTED,
                "items": {"type": "string", **({"enum": known[name]} if name in known else {})},
            },
        }
        for name in FACETS
    ]


def parse_filters(params: QueryParams) -> Filter:
    """Parse the filters of a URL. Links count if their basis is in the URL; the default is declared
    links.

    Raises QueryError if there are too many values.
    """
    chosen = {
        name: tuple(dict.fromkeys(filter(None, (code.strip() for code in params.getlist(name)))))
        for name in FACETS
    }
    chosen["language"] = tuple(code.partition("-")[0].lower() for code in chosen["language"])
    if any(len(codes) > MOST_SELECTED for codes in chosen.values()):
        raise QueryError(f"A search names at most {MOST_SELECTED} values of a facet")
    bases = tuple(basis for basis in Basis if basis.value in chosen["basis"])
    return Filter(
        tuple(sorted((name, codes) for name, codes in chosen.items() if codes)),
        bases or (Basis.DECLARED,),
    )


def filter_groups(
    filters: Filter,
    counts: Mapping[str, Mapping[str, ThingCount]],
    names: FacetLabels,
    *,
    has_parts: bool,
) -> list[dict[str, Any]]:
    """Return the facets with at least one value: *first* are the options that are visible, *rest*
    the collapsed ones, *query* is the URL of the query behind the counts.
    """
    # The parameters are encoded once: a page has hundreds of these URLs.
    sent, counted, groups = _sent_parameters(), replace(filters, among=None), []
    begin = f"/search{_query(sent)}{'&' if sent else '?'}"

    def toggle(facet: str, code: str) -> str:
        """Return the URL of the first page of the search with *code* added, or removed."""
        if code in filters.codes(facet):
            return "/search" + _query([pair for pair in sent if pair != (facet, code)])
        return f"{begin}{facet}={quote_plus(code)}"

    for facet in FILTER_FACETS:
        chosen = filters.codes(facet)
        options = [
            {
                "code": code,
                "name": names.short(facet, code),
                "things": things,
                "chosen": code in chosen,
                "href": toggle(facet, code),
            }
            for code, things in _rank(facet, counts.get(facet, {}), chosen)
        ]
        is_short = facet in ("line", "goal") and len(options) <= 20
        visible = len(options) if is_short else max(VISIBLE_VALUES, len(chosen))
        query = count_queries.counts(counted, facet, names.iris, has_parts=has_parts)
        group = {
            "facet": facet,
            "title": facet_title(facet),
            "first": options[:visible],
            "rest": options[visible:],
            "is_filtered": any(option["chosen"] for option in options),
            "query": query_page_url(query),
        }
        groups += [group] if options else []
    return groups


def _rank(
    facet: str, counts: Mapping[str, ThingCount], picked: Collection[str]
) -> list[tuple[str, ThingCount]]:
    """Return the codes that a page has: those of the search first, and years the newest first; lines
    and goals by their numbers.
    """
    numbered = facet if facet in ("line", "goal", "year") else ""
    ranked = sorted(counts.items(), key=lambda pair: sort_key(numbered, *pair))
    if facet not in ("line", "goal"):
        others = [pair for pair in ranked if pair[0] not in picked]
        first = [pair for pair in ranked if pair[0] in picked]
        ranked = first + (others[::-1] if facet == "year" else others)
    ranked += [(code, NONE) for code in picked if code not in counts]
    return ranked[:MAX_VALUES]


async def get_figures(request: Request, tables: TablesDep, names: NamesDep) -> Figures:
    return Figures(
        tables, names, parse_filters(request.query_params).with_codes("kind", "initiative")
    )


FiguresDep = Annotated[Figures, Depends(get_figures)]
