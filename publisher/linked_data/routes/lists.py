"""Lists of organizations, and of the things of a concept, organization or registry, as JSON or as a
page.

Link headers contain the next and previous page (https://www.rfc-editor.org/rfc/rfc8288); JSON has
them in its body too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, NotRequired
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.cursor_lists import ListCursor, ListPage, load_page
from publisher.linked_data.organization_details import (
    OrganizationDetails,
    load_organization_details,
)
from publisher.pages import Pages
from publisher.rdf.results import Row
from vocab.iris import is_web
from vocab.schemes import label
from web.endpoints import (
    EndpointT,
    Instant,
    WebAddress,
    get,
    known_parameters,
    problems,
)
from web.formats import HTML, JSON, Format
from web.links import origin
from web.paths import split_suffix
from web.problems import HTTPProblem
from web.respond import choose_format, respond

_Source = Annotated[
    str | None,
    Query(description="Current records of a registry, by its name or IRI", examples=["demo"]),
]
_Gone = Annotated[
    str | None, Query(description="Deleted records of a registry, by its name or IRI")
]
_Concept = Annotated[
    str | None, Query(description="Things with a concept, goal, target or country, by its IRI")
]
_Words = Annotated[
    str, Query(max_length=200, description="A part of the names of the organizations")
]
_Organization = Annotated[str | None, Query(description="Things of an organization, by its IRI")]


class ListItemJson(TypedDict):
    """A thing of a list: its IRI, its page and its details; *source* and what follows it are those
    of an organization.
    """

    id: WebAddress
    page: WebAddress
    title: NotRequired[str]
    language: NotRequired[str | None]
    property: NotRequired[WebAddress]
    record: NotRequired[WebAddress]
    status: NotRequired[WebAddress]
    modified: NotRequired[Instant]
    source: NotRequired[str]
    classification: NotRequired[WebAddress]
    countries: NotRequired[list[WebAddress]]
    initiatives: NotRequired[int]


class ListJson(TypedDict):
    """A page of a list; *next* and *prev* are the URLs of the next and previous page."""

    sort: str
    next: NotRequired[WebAddress]
    prev: NotRequired[WebAddress]
    items: list[ListItemJson]


_NO_DETAILS: Mapping[str, OrganizationDetails] = {}

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
            response_model=ListJson,
            response_description="A page of the list, with links to the next and previous page",
            responses=problems(400, 503),
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
    concept: _Concept = None,
    organization: _Organization = None,
    source: _Source = None,
    gone: _Gone = None,
) -> Response:
    """Exactly one of the parameters selects the list."""
    subjects = {"concept": concept, "organization": organization, "source": source, "gone": gone}
    name, value = next(
        ((name, value) for name, value in subjects.items() if value is not None), ("", "")
    )
    about = value if ":" in value else f"{service.iris.base}source/{value}"
    if not name or not is_web(about):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "Missing parameter: one of {names}, with an IRI or a source's name",
                names=", ".join(subjects),
            ),
        )
    return respond_list(
        request, pages, "things", {name: about}, await load_page(cursor, service, name, about)
    )


@register_list(router, "organizations", "List all organizations")
async def organizations(
    request: Request, service: ServiceDep, pages: PagesDep, cursor: ListCursor, q: _Words = ""
) -> Response:
    """Organizations publish, fund or take part in initiatives; those of one cluster are one."""
    list_page = await load_page(cursor, service, "organizations", words=q)
    numbers = {
        row["thing"].value: int(row["initiatives"].value) if "initiatives" in row else None
        for row in list_page.rows
    }
    details = await load_organization_details(numbers, service)
    return respond_list(request, pages, "organizations", {"q": q} if q else {}, list_page, details)


def respond_list(
    request: Request,
    pages: Pages,
    name: str,
    params: dict[str, str],
    list_page: ListPage,
    details: Mapping[str, OrganizationDetails] = _NO_DETAILS,
) -> Response:
    """Return a page of the list *name* in the requested format."""
    path = f"/{name}" + (f"?{urlencode(params)}" if params else "")
    if (chosen_format := choose_list_format(request)) is HTML:
        content = bytes(
            pages.page(
                "list.html",
                name=name,
                path_=path,
                about=next((value for key, value in params.items() if key != "q"), None),
                words=params.get("q", ""),
                list_page=list_page,
                details=details,
                concept_label=_label,
            ).body
        )
    else:
        content = _json(request, pages, path, list_page, details)
    return respond(request, content, chosen_format, links=list_page.links(origin(request) + path))


def _label(address: str) -> str:
    return label(address, current_locale().language) or address.rpartition("/")[2]


def _json(
    request: Request,
    pages: Pages,
    path: str,
    list_page: ListPage,
    details: Mapping[str, OrganizationDetails],
) -> bytes:
    url = origin(request) + path
    document = {link.rel: link.target for link in list_page.links(url)}
    items = [
        _item(
            row, origin(request) + pages.path(row["thing"].value), details.get(row["thing"].value)
        )
        for row in list_page.rows
    ]
    return orjson.dumps(
        {"sort": list_page.order.value, **document, "items": items}, option=orjson.OPT_INDENT_2
    )


def choose_list_format(request: Request) -> Format:
    """Return JSON or HTML, as the request asks; raises HTTPProblem (406) for anything else."""
    _, suffix = split_suffix(request.url.path)
    return choose_format(request, {"json": JSON, "html": HTML}, suffix)


def _item(row: Row, page: str, details: OrganizationDetails | None) -> ListItemJson:
    document: ListItemJson = {"id": row["thing"].value, "page": page}
    if "title" in row:
        document |= {"title": row["title"].value, "language": row["title"].language}
    if "property" in row:
        document["property"] = row["property"].value
    if "record" in row:
        document["record"] = row["record"].value
    if "status" in row:
        document["status"] = row["status"].value
    if "modified" in row:
        document["modified"] = row["modified"].value
    if details:
        document |= {
            "source": details.source,
            "countries": list(details.countries),
        }
        if details.initiatives is not None:
            document["initiatives"] = details.initiatives
        if details.classification:
            document["classification"] = details.classification
    return document
