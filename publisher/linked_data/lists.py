"""Lists of organizations, of registries, and of the things of a concept, an organization or a
registry, as JSON or as a page. They are paged by cursors, so that no page is counted from the start.

A cursor holds the sort key and the IRI of the last thing of a page, so additions and deletions do
not move other things to other pages. Link headers have the next and previous page
(https://www.rfc-editor.org/rfc/rfc8288); JSON has them in its content too.
"""

from __future__ import annotations

import asyncio
import binascii
import tomllib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, current_locale
from publisher.data.properties import facet_of_concept
from publisher.data.tables import LAST, Filter
from publisher.pages import Pages, PagesDep, ServiceDep
from publisher.rdf import Row, Term, iri
from publisher.store.query_service import QueryService, query
from vocab.initiative import Basis
from vocab.iris import KINDS, is_web
from vocab.schemes import label
from vocab.terms import literal
from web.endpoints import EndpointT, contents, get, known_parameters, problems
from web.respond import (
    HTML,
    JSON,
    Format,
    HTTPProblem,
    Link,
    choose_format,
    origin,
    require,
    respond,
    split_suffix,
)

PAGE_SIZE = 50  # things on a page
Details = dict[str, dict[str, Any]]  # the details of organizations, by IRI and by name in JSON


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
            json_schema_extra={"enum": ["initiatives", "title", "newest", "address"]},
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


LISTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list in one of its *orders*; *after* and *before* are the cursors of the next and
    previous page, None at the ends.
    """

    rows: list[Row]
    order: str
    orders: Sequence[str]
    after: str | None
    before: str | None

    def address(self, path: str, **cursor: str) -> str:
        """Return the URL of another page of the list at *path*."""
        bindings = cursor if self.order == self.orders[0] else {"sort": self.order, **cursor}
        return f"{path}{'&' if '?' in path else '?'}{urlencode(bindings)}"

    def links(self, path: str) -> list[Link]:
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
    orders = definition["orders"]
    order = orders[0] if parameters.sort is None else parameters.sort
    require(
        order in orders,
        TranslatableText("sort must be one of {names}", names=", ".join(orders)),
        HTTPStatus.BAD_REQUEST,
    )
    back = parameters.before is not None
    cursor = parameters.before or parameters.after
    upward = (order != "newest") != back
    key, address = _parse_cursor(cursor) if cursor else ("", "") if upward else (LAST, LAST)
    filters, tables = _as_filter(name, about, service), service.tables
    if name == "organizations" or filters:
        read: Callable[..., Sequence[tuple[object, ...]]] = (
            partial(tables.list_after, filters)
            if filters
            else partial(tables.list_organizations, words)
        )
        listed = await asyncio.to_thread(read, order, upward, key, address, PAGE_SIZE + 1)
        # Nothing links to the base, so no organization is repeated for each property.
        rows = await _detail_rows(listed, definition, about or service.iris.base, service)
    else:
        bindings = {"since": literal(key), "after": literal(address)}
        bindings |= {"about": iri(about)} if about else {}
        rows = await service.rows(_query_text(definition, order, upward), bindings)
    rows = _one_row_each(rows, upward)
    has_more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    rows = rows[::-1] if back else rows
    onward, backward = (True, has_more) if back else (has_more, bool(cursor))
    return ListPage(
        rows,
        order,
        orders,
        _format_cursor(rows[-1]) if rows and onward else None,
        _format_cursor(rows[0]) if rows and backward else None,
    )


def _as_filter(name: str, about: str, service: QueryService) -> Filter | None:
    """Return the list as a filter of the facet index, None if the index does not cover it."""
    if name == "organization":
        return Filter(party=about)
    if name == "source":
        kinds = tuple(kind for kind in KINDS if kind != "organization")
        source = about.removeprefix(f"{service.iris.base}source/")
        return Filter((("kind", kinds), ("source", (source,))))
    facet_code = facet_of_concept(about, service.iris) if name == "concept" else None
    return Filter(((facet_code[0], (facet_code[1],)),), tuple(Basis)) if facet_code else None


async def _detail_rows(
    listed: Iterable[tuple[object, ...]],
    definition: Mapping[str, Any],
    about: str,
    service: QueryService,
) -> list[Row]:
    """Return rows for each of *listed*: its IRI, its key, and the number of its initiatives if known."""
    values = {
        str(thing): {
            name: Term(str(value), "literal")
            for name, value in zip(("key", "initiatives"), numbers, strict=False)
        }
        for thing, *numbers in listed
    }
    text = query("listing-of").replace("THINGS", " ".join(map(iri, values)))
    text = text.replace("DETAILS", definition["details"])
    rows = await service.rows(text, {"about": iri(about)}) if values else []
    return [row | values[row["thing"].value] for row in rows]


def _one_row_each(rows: list[Row], upward: bool) -> list[Row]:
    """Return one row for each thing, in order, with the English title if there is one."""
    ranked = sorted(rows, key=lambda row: "title" in row and row["title"].language == "en")
    keyed = {(row["key"].value, row["thing"].value): row for row in ranked}
    return [keyed[key] for key in sorted(keyed, reverse=not upward)]


def _query_text(definition: Mapping[str, Any], order: str, upward: bool) -> str:
    keyed = {
        "title": definition["titles"],
        "newest": "?dated foaf:primaryTopic ?thing ; dct:modified ?changed .",
    }
    linked = "?thing ?property ?about . " if definition.get("shows_property") else ""
    text = query("listing")
    for name, part in (
        ("PATTERN", f"{definition['members']} {keyed.get(order, '')}"),
        ("KEY", LISTS["keys"][order]),
        ("COMPARES", ">" if upward else "<"),
        ("ORDER(", "ASC(" if upward else "DESC("),
        ("DETAILS", linked + definition["details"]),
    ):
        text = text.replace(name, part)
    return text


def _format_cursor(row: Row) -> str:
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


router = APIRouter()


def register_list(router: APIRouter, name: str, summary: str) -> Callable[[EndpointT], EndpointT]:
    """Register an endpoint as the list *name*: its JSON is described, its page and its negotiated
    address are not.
    """

    def register(endpoint: EndpointT) -> EndpointT:
        get(
            router,
            f"/{name}.json",
            operation_id=name,
            dependencies=[Depends(known_parameters)],
            summary=summary,
            tags=["find"],
            response_description="A page of the list, with links to the next and previous page",
            responses=contents(json="ListJson") | problems(400, 503),
        )(endpoint)
        for end in ("", ".html"):
            get(router, f"/{name}{end}", include_in_schema=False)(endpoint)
        return endpoint

    return register


@register_list(router, "things", "List the things of a concept, an organization or a registry")
async def things(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    cursor: ListCursor,
    concept: Annotated[
        str | None, Query(description="Things with a concept, goal, target or country, by its IRI")
    ] = None,
    organization: Annotated[
        str | None, Query(description="Things of an organization, by its IRI")
    ] = None,
    source: Annotated[
        str | None,
        Query(description="Current records of a registry, by its name or IRI", examples=["demo"]),
    ] = None,
    gone: Annotated[
        str | None, Query(description="Deleted records of a registry, by its name or IRI")
    ] = None,
) -> Response:
    """Exactly one of the parameters selects the list."""
    subjects = {"concept": concept, "organization": organization, "source": source, "gone": gone}
    chosen = [(name, value) for name, value in subjects.items() if value is not None]
    name, value = chosen[0] if chosen else ("", "")
    about = value if ":" in value else f"{service.iris.base}source/{value}"
    require(
        bool(name) and is_web(about),
        TranslatableText(
            "Missing parameter: one of {names}, with an IRI or a source's name",
            names=", ".join(subjects),
        ),
        HTTPStatus.BAD_REQUEST,
    )
    return respond_list(
        request, pages, "things", {name: about}, (await load_page(cursor, service, name, about))
    )


@register_list(router, "organizations", "List all organizations")
async def organizations(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    cursor: ListCursor,
    q: Annotated[
        str, Query(max_length=200, description="A part of the names of the organizations")
    ] = "",
) -> Response:
    """Organizations publish, fund or take part in initiatives; those of one cluster are one."""
    list_page = await load_page(cursor, service, "organizations", words=q)
    return respond_list(
        request,
        pages,
        "organizations",
        {"q": q} if q else {},
        list_page,
        await _organization_details(list_page.rows, service),
    )


async def _organization_details(listed: Iterable[Row], service: QueryService) -> Details:
    """Return what the list has of an organization beside its name: registry, countries, number of
    initiatives (while it is not counted: none) and type, by the names of the JSON.
    """
    things = {row["thing"].value: row for row in listed}
    text = query("organization-details").replace("THINGS", " ".join(map(iri, things)))
    return {
        (thing := row["thing"].value): {
            "source": thing.partition("/id/organization/")[2].partition("/")[0],
            "countries": sorted(row["countries"].value.split()),
            **{
                name: read(term.value)
                for name, read in (("initiatives", int), ("classification", str))
                if (term := (things[thing] | row).get(name))
            },
        }
        for row in (await service.rows(text) if things else ())
    }


def respond_list(
    request: Request,
    pages: Pages,
    name: str,
    params: dict[str, str],
    list_page: ListPage,
    details: Details | None = None,
) -> Response:
    path = f"/{name}" + (f"?{urlencode(params)}" if params else "")
    details, chosen_format = details or {}, choose_list_format(request)
    links = list_page.links(origin(request) + path)
    if chosen_format is HTML:
        return respond(
            request,
            pages.page(
                "list.html",
                name=name,
                path_=path,
                about=next((value for key, value in params.items() if key != "q"), None),
                words=params.get("q", ""),
                list_page=list_page,
                details=details,
                concept_label=_label,
            ),
            HTML,
            links=links,
        )
    return respond(
        request,
        orjson.dumps(
            {
                "sort": list_page.order,
                **{link.rel: link.target for link in links},
                "items": [
                    _item(row, origin(request) + pages.path(row["thing"].value))
                    | details.get(row["thing"].value, {})
                    for row in list_page.rows
                ],
            },
            option=orjson.OPT_INDENT_2,
        ),
        JSON,
        links=links,
    )


def _label(address: str) -> str:
    return label(address, current_locale().language) or address.rpartition("/")[2]


def choose_list_format(request: Request) -> Format:
    """Return JSON or HTML, as the request asks; raises HTTPProblem (406) for anything else."""
    _, suffix = split_suffix(request.url.path)
    return choose_format(request, {"json": JSON, "html": HTML}, suffix)


def _item(row: Row, page: str) -> dict[str, Any]:
    title, names = row.get("title"), ("property", "record", "status", "modified")
    return {
        "id": row["thing"].value,
        "page": page,
        **({"title": title.value, "language": title.language} if title else {}),
        **{name: row[name].value for name in names if name in row},
    }
