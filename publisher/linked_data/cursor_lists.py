"""Sorted lists of things, paged by cursors, so that no page is counted from the start of the list.

A cursor holds the sort key and the IRI of the last thing shown, so additions and deletions do not
move other things to other pages.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

import orjson
from fastapi import Depends, Query
from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.projections.facets.facets import facet_of_concept
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import LAST, open_facet_index
from publisher.rdf.results import Row, Term, iri, literal
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.initiative import Basis
from vocab.iris import KINDS
from web.links import Link
from web.problems import HTTPProblem

PAGE_SIZE = 50  # things on a page


class SortOrder(Enum):
    """The sort orders of a list."""

    INITIATIVES = "initiatives"  # of organizations, those with most first
    TITLE = "title"  # English titles first, then those in other languages
    NEWEST = "newest"
    ADDRESS = "address"


class ListParameters(NamedTuple):
    """The parameters of a list; *after* and *before* are cursors, None if absent."""

    sort: str | None
    after: str | None
    before: str | None


async def read_list_parameters(
    sort: Annotated[
        str | None,
        Query(
            description="The order",
            json_schema_extra={"enum": [order.value for order in SortOrder]},
        ),
    ] = None,
    after: Annotated[
        str | None, Query(description="The cursor of the next page, from the previous response")
    ] = None,
    before: Annotated[str | None, Query(description="The cursor of the previous page")] = None,
) -> ListParameters:
    """Return the parameters of a list. Which orders a list has is checked where it is read."""
    return ListParameters(sort, after, before)


def read_cursor(request: Request) -> ListParameters:
    """Return the parameters of a list that only the page of a route has."""
    return ListParameters(*map(request.query_params.get, ListParameters._fields))


ListCursor = Annotated[ListParameters, Depends(read_list_parameters)]


class ListDefinition(NamedTuple):
    """A list: the patterns of its members ?thing, their titles ?name and their details; the first
    order is the default.
    """

    members: str
    titles: str
    details: str
    shows_property: bool = False  # whether the property that links a member to ?about is shown
    orders: tuple[SortOrder, ...] = (SortOrder.TITLE, SortOrder.NEWEST, SortOrder.ADDRESS)


_MODIFIED = "OPTIONAL { ?record foaf:primaryTopic ?thing ; dct:modified ?modified }"
_TITLED = "OPTIONAL { ?thing dct:title ?name }"
_TITLES = "OPTIONAL { ?thing dct:title ?title }"
_DETAILS = f"{_TITLES} {_MODIFIED}"
_OURS = "FILTER(STRSTARTS(str(?thing), str(<id/>)))"
# a registry may have a million
_FIRST_ADDRESS = (SortOrder.ADDRESS, SortOrder.TITLE, SortOrder.NEWEST)

LISTS = {
    "concept": ListDefinition(
        f"?thing ?any ?about . {_OURS}", _TITLED, _DETAILS, shows_property=True
    ),
    "organization": ListDefinition(
        "?thing dct:publisher|wsis:partner|schema:funder ?about .",
        _TITLED,
        _DETAILS,
        shows_property=True,
    ),
    "source": ListDefinition(
        "?about dcat:record ?record . ?record adms:status ?any ; foaf:primaryTopic ?thing . FILTER(?any != <operations#gone>)",
        _TITLED,
        f"{_TITLES} OPTIONAL {{ ?record foaf:primaryTopic ?thing ; adms:status ?status ; dct:modified ?modified }}",
        orders=_FIRST_ADDRESS,
    ),
    "gone": ListDefinition(
        "?record adms:status <operations#gone> ; foaf:primaryTopic ?thing . ?about dcat:record ?record .",
        "OPTIONAL { ?record dct:title ?name }",
        "?record foaf:primaryTopic ?thing ; adms:status ?status ; dct:modified ?modified . OPTIONAL { ?record dct:title ?title }",
        orders=_FIRST_ADDRESS,
    ),
    "organizations": ListDefinition(
        "?thing a org:Organization .",
        "OPTIONAL { ?thing skos:prefLabel ?name }",
        "?thing skos:prefLabel ?title .",
        orders=(SortOrder.INITIATIVES, SortOrder.TITLE, SortOrder.ADDRESS),
    ),
    "sources": ListDefinition(
        "?thing a dcat:Catalog .",
        _TITLED,
        "?thing dct:title ?title .",
        orders=(SortOrder.TITLE, SortOrder.ADDRESS),
    ),
}
_KEYS = {
    SortOrder.TITLE: 'MIN(COALESCE(CONCAT(IF(lang(?name) = "en", "0", "1"), LCASE(str(?name))), "2"))',
    SortOrder.NEWEST: "MAX(str(?changed))",
    SortOrder.ADDRESS: '""',
    SortOrder.INITIATIVES: '""',  # while there is no facet index
}


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list; *after* and *before* are the cursors of the next and previous page, None at
    the ends.
    """

    rows: list[Row]
    order: SortOrder
    orders: tuple[SortOrder, ...]
    after: str | None
    before: str | None

    def address(self, path: str, **cursor: str) -> str:
        """Return the URL of another page of the list at *path*."""
        bindings = {
            **({} if self.order is self.orders[0] else {"sort": self.order.value}),
            **cursor,
        }
        return f"{path}{'&' if '?' in path else '?'}{urlencode(bindings)}"

    def links(self, path: str) -> list[Link]:
        """Return the links to the next and previous page (https://www.rfc-editor.org/rfc/rfc8288)."""
        return [
            *([Link("next", self.address(path, after=self.after))] if self.after else []),
            *([Link("prev", self.address(path, before=self.before))] if self.before else []),
        ]


async def load_page(
    parameters: ListParameters, service: QueryService, name: str, about: str = "", words: str = ""
) -> ListPage:
    """Return the page of the list *name* about *about*; of organizations those with *words* in
    their names.

    Raises HTTPProblem (400) for an unknown order or an invalid cursor.
    """
    definition = LISTS[name]
    sort = definition.orders[0].value if parameters.sort is None else parameters.sort
    order = next((order for order in definition.orders if order.value == sort), None)
    if order is None:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "sort must be one of {names}",
                names=", ".join(order.value for order in definition.orders),
            ),
        )
    back = parameters.before is not None
    cursor = parameters.before or parameters.after
    upward = (order is not SortOrder.NEWEST) != back
    key, address = _parse_cursor(cursor) if cursor else ("", "") if upward else (LAST, LAST)
    filters, tables = _as_filter(name, about, service), open_facet_index(service.current.path)
    if name == "organizations" and tables:
        listed = await asyncio.to_thread(
            tables.list_organizations, words, order.value, upward, (key, address), PAGE_SIZE + 1
        )
        numbers = {thing: Term(str(things), "literal") for thing, _, things in listed}
        pairs = [(thing, key) for thing, key, _ in listed]
        rows = [
            row | {"initiatives": numbers[row["thing"].value]}
            for row in await _detail_rows(pairs, definition, service.iris.base, service)
        ]  # nothing links to the base, so no row is repeated for each property
    elif filters and tables:
        pairs = await asyncio.to_thread(
            tables.list_after, filters, order.value, upward, key, address, PAGE_SIZE + 1
        )
        rows = await _detail_rows(pairs, definition, about, service)
    else:
        rows = await service.rows(
            _query_text(definition, order, upward), _bindings(about, key, address)
        )
    return _build_page(_one_row_each(rows, upward), order, definition.orders, back, bool(cursor))


def _as_filter(name: str, about: str, service: QueryService) -> Filter | None:
    """Return the list as a filter of the facet index, None if the index does not cover it."""
    if name == "organization":
        return Filter(party=about)
    if name == "source":
        of_records = tuple(kind for kind in KINDS if kind != "organization")
        return Filter(
            (("kind", of_records), ("source", (about.removeprefix(f"{service.iris.base}source/"),)))
        )
    facet_code = facet_of_concept(about, service.iris) if name == "concept" else None
    return Filter(((facet_code[0], (facet_code[1],)),), tuple(Basis)) if facet_code else None


async def _detail_rows(
    pairs: list[tuple[str, str]], definition: ListDefinition, about: str, service: QueryService
) -> list[Row]:
    """Return the detail rows of things with known sort keys."""
    text = (
        query("listing-of")
        .replace("THINGS", " ".join(iri(thing) for thing, _ in pairs))
        .replace("DETAILS", definition.details)
    )
    rows = await service.rows(text, {"about": iri(about)}) if pairs else []
    keys = dict(pairs)
    return [row | {"key": Term(keys[row["thing"].value], "literal")} for row in rows]


def _build_page(
    rows: list[Row], order: SortOrder, orders: tuple[SortOrder, ...], back: bool, moved: bool
) -> ListPage:
    more, page_rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    page_rows = page_rows[::-1] if back else page_rows
    if not page_rows:
        return ListPage([], order, orders, None, None)
    onward, backward = (True, more) if back else (more, moved)
    return ListPage(
        page_rows,
        order,
        orders,
        format_cursor(page_rows[-1]) if onward else None,
        format_cursor(page_rows[0]) if backward else None,
    )


def _one_row_each(rows: list[Row], upward: bool) -> list[Row]:
    """Return one row for each thing, in order, with the English title if there is one."""
    ranked = sorted(rows, key=lambda row: "title" in row and row["title"].language == "en")
    by_thing = {row["thing"].value: row for row in ranked}
    return sorted(
        by_thing.values(),
        key=lambda row: (row["key"].value, row["thing"].value),
        reverse=not upward,
    )


def _bindings(about: str, key: str, address: str) -> dict[str, str]:
    bindings = {"since": literal(key), "after": literal(address)}
    return bindings | ({"about": iri(about)} if about else {})


def _query_text(definition: ListDefinition, order: SortOrder, upward: bool) -> str:
    newest = "?dated foaf:primaryTopic ?thing ; dct:modified ?changed ."
    keyed = {
        SortOrder.TITLE: definition.titles,
        SortOrder.NEWEST: newest,
        SortOrder.ADDRESS: "",
        SortOrder.INITIATIVES: "",
    }[order]
    parts = {
        "PATTERN": f"{definition.members} {keyed}",
        "KEY": _KEYS[order],
        "COMPARES": ">" if upward else "<",
        "ORDER(": "ASC(" if upward else "DESC(",
        "DETAILS": ("?thing ?property ?about . " if definition.shows_property else "")
        + definition.details,
    }
    text = query("listing")
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def format_cursor(row: Row) -> str:
    """Return the cursor of a row."""
    return (
        urlsafe_b64encode(orjson.dumps([row["key"].value, row["thing"].value])).decode().rstrip("=")
    )


def _parse_cursor(cursor: str) -> tuple[str, str]:
    try:
        key, address = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(key), str(address)
    except (binascii.Error, ValueError) as error:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST, TranslatableText("Invalid cursor; start again without it")
        ) from error
