"""``/cluster/``: what several registries say of one thing, and why it is one."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText, gettext
from publisher.dependencies import PagesDep, ServiceDep
from publisher.history.versions import read_history, recent_changes
from publisher.linked_data.content_response import DescriptionJson, Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.pages import Pages
from publisher.portal.clusters import (
    SHOWN,
    cluster_of,
    compare_members,
    precedence,
    read_matches,
    read_members,
)
from publisher.store.descriptions import Description, describe_graph, prefer_english
from publisher.store.query_service import QueryService
from vocab.field_changes import FIELD_NAMES
from vocab.schemes import label
from vocab.statements.clusters import cluster_iri, named_member
from web.endpoints import KeyPath, KindPath, SourcePath, get, problems, redirects
from web.formats import DATA_FORMATS
from web.links import Link
from web.paths import parse_thing_path, path_segments, split_suffix
from web.problems import HTTPProblem


async def cluster_parameters(kind: KindPath, source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters; they are read from the raw path, in which a key may contain an
    encoded slash.
    """


router = APIRouter()


@get(router, "/cluster/{rest:path}", include_in_schema=False)
@get(
    router,
    "/cluster/{kind}/{source}/{key:path}.json",
    operation_id="cluster",
    summary="Return which things of several registries are one, and why",
    tags=["read"],
    dependencies=[Depends(cluster_parameters)],
    response_model=DescriptionJson,
    response_description="The cluster with its members",
    responses=redirects(301) | problems(404, 410, 503),
)
async def cluster(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """The address of a cluster that was merged redirects to the one that has its members, whose
    page says why.
    """
    parse_thing_path(path_segments(request))
    try:
        document = await find_document(request, service, describe_graph, 4)
    except HTTPProblem as problem:
        if problem.status is not HTTPStatus.NOT_FOUND:
            raise
        return await _redirect(request, service, path_segments(request))
    description = document.description
    if replacement := description.one("dct:isReplacedBy"):
        return _redirect_to_cluster(
            request, replacement.value.removeprefix(service.iris.base), document.suffix
        )
    links = (
        Link("cite-as", description.iri),
        *(Link("item", term.value) for term in description.all("prov:hadMember")[:SHOWN]),
    )
    subject = Resource(description, document.urls, graph=description.iri, links=links)
    return await respond(
        request, service, subject, document.suffix, lambda: _show(service, pages, document)
    )


async def _redirect(request: Request, service: QueryService, parts: list[str]) -> Response:
    """Redirect from a cluster that would be named after a member to the one that has it. Raises
    HTTPProblem (404, 410).
    """
    stem, suffix = split_suffix(parts[-1])
    candidates = [(parts, None), *([([*parts[:-1], stem], suffix)] if suffix else [])]
    for path, end in candidates:
        member = f"{service.iris.base}id/{'/'.join(path)}"
        if result := await cluster_of(service, member):
            return _redirect_to_cluster(
                request, result.cluster.removeprefix(service.iris.base), end
            )
        if await read_history(service, cluster_iri(member, service.iris)):
            raise HTTPProblem(
                HTTPStatus.GONE,
                TranslatableText(
                    "This cluster was dissolved: its members are separate things again. {member} is the one after which it was named.",
                    member=member,
                ),
            )
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText(
            "This cluster doesn't exist: {iri}", iri=f"{service.iris.clusters}{'/'.join(parts)}"
        ),
    )


def _redirect_to_cluster(request: Request, path: str, suffix: str | None) -> Response:
    """Return 301: the members are in the cluster at *path*."""
    location = f"{request.scope.get('root_path', '')}/{quote(path, safe='/%')}" + (
        f".{suffix}" if suffix else ""
    )
    text = "The members of this cluster are now in the one at Location, whose page says why they are one thing.\n"
    return Response(text, HTTPStatus.MOVED_PERMANENTLY, {"Location": location}, "text/plain")


async def _show(service: QueryService, pages: Pages, document: Document) -> Response:
    """Render the page of a cluster."""
    description = document.description
    all_members = [term.value for term in description.all("prov:hadMember")]
    members = await read_members(service, all_members)
    compared = compare_members(members)
    return pages.page(
        "cluster.html",
        description=description,
        members=members,
        names={member.iri: _name(member.description) for member in members},
        total=len(all_members),
        compared=[(_label(item.predicate, service.iris.base), item) for item in compared],
        rules={item.predicate: precedence(description.short(item.predicate)) for item in compared},
        matches=read_matches(description),
        others=[
            iri
            for iri in (cluster_iri(member, service.iris) for member in all_members)
            if iri != description.iri
        ],
        named=named_member(description.iri, service.iris),
        urls=document.urls,
        graphs=DATA_FORMATS.values(),
        changes=recent_changes(
            await read_history(service, description.iri), description, service.iris
        ),
    )


def _name(member: Description) -> str:
    terms = [*member.all("dct:title"), *member.all("skos:prefLabel")]
    names = (
        prefer_english({"thing": member.all("rdf:type")[0], "name": term} for term in terms)
        if terms and member.all("rdf:type")
        else {}
    )
    return next(iter(names.values()), member.iri)


def _label(predicate: str, base: str) -> str:
    known = FIELD_NAMES.get(predicate)
    name = (
        gettext(known)
        if known
        else label(predicate, current_locale().language, base)
        or predicate.rpartition("/")[2].rpartition("#")[2]
    )
    return name[:1].upper() + name[1:]
