"""Serve ``/releases/`` and each release's files, with range requests; ``/release/{n}`` describes
one release.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from typing_extensions import TypedDict

from languages.translations import TranslatableText
from publisher.catalog.datasets import release_dataset
from publisher.catalog.dcat import dataset_statements
from publisher.catalog.portals import dataset_markup
from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.content_response import DescriptionJson, serialize
from publisher.linked_data.schema_org import jsonld_block
from publisher.pages import Pages
from publisher.portal.facet_panels import sort_key
from publisher.rdf.results import Term
from publisher.releases import citation
from publisher.releases.builder import SUMS
from publisher.releases.signature import PUBLIC, SUFFIX
from publisher.store.descriptions import Description, Statement, namespaces
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import MANIFEST, Release, get_release, list_releases
from vocab.iris import Iris
from vocab.terms import PROV, SCHEMA, XSD
from web.conditional import send_file
from web.endpoints import (
    Count,
    Instant,
    WebAddress,
    contents,
    get,
    other_contents,
    problems,
)
from web.formats import DATA_FORMATS, FORMATS, HTML
from web.links import Link, origin, typed_link
from web.negotiation import quality
from web.paths import split_suffix
from web.problems import HTTPProblem
from web.representation import (
    Representation,
    ResourceURLs,
    build_response,
    is_negotiated,
    negotiate_format,
)

_FOR_EVER = "public, max-age=31536000, immutable"  # a release is never changed
# files that a manifest does not list
_OWN = {
    MANIFEST: "application/json",
    SUMS: "text/plain; charset=utf-8",
}


ReleaseNumber = Annotated[
    str, PathParameter(description="The number of the release", examples=["1"])
]
FileName = Annotated[str, PathParameter(description="The name of a file of the release")]
VersionedNumber = Annotated[
    str,
    PathParameter(description="The number of the release, with or without the suffix of a format"),
]

router = APIRouter()


class ReleaseJson(TypedDict):
    """A release: *position* and *entry* are the number and the hash of its journal entry; *kept*:
    it still has its files.
    """

    number: Count
    iri: WebAddress
    issued: Instant
    position: Count
    entry: str
    kept: bool


class ReleasesJson(TypedDict):
    """All releases, the newest first."""

    releases: list[ReleaseJson]


@get(router, "/releases", include_in_schema=False)
async def add_slash(request: Request) -> Response:
    """Redirect to the same path with a slash at its end."""
    return RedirectResponse(
        request.scope.get("root_path", "") + request.url.path + "/", HTTPStatus.PERMANENT_REDIRECT
    )


@get(
    router,
    "/releases/",
    operation_id="releases",
    summary="List the releases",
    tags=["have"],
    response_model=ReleasesJson,
    response_description="The releases",
    responses=contents("text/html"),
)
async def listing(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A release is all data at one journal entry, numbered, signed and never changed."""
    releases = await run_in_threadpool(list_releases, service.data / "releases")
    accept = request.headers.get("accept")
    if accept and quality(accept, "application/json") > quality(accept, "text/html"):
        return JSONResponse(
            {"releases": [_row(item) for item in releases]}, headers={"Vary": "Accept"}
        )
    return pages.page("releases.html", releases=releases)


@get(
    router,
    f"/releases/{PUBLIC}",
    operation_id="signingKey",
    summary="Return the public key of the signatures of releases",
    tags=["have"],
    response_class=Response,
    response_description="A minisign key",
    responses=contents("text/plain") | problems(404),
)
async def public_key(request: Request, service: ServiceDep) -> Response:
    """`minisign` verifies the signatures with it."""
    path = service.data / "signing" / PUBLIC
    if not path.is_file():
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There is no public key before the first release"),
        )
    return await run_in_threadpool(send_file, request, path, "text/plain; charset=utf-8")


get(router, "/releases/{number}", include_in_schema=False)(add_slash)


@get(router, "/releases/{number}/", include_in_schema=False)
async def page(
    request: Request, service: ServiceDep, pages: PagesDep, number: ReleaseNumber
) -> Response:
    """Return the page of a release."""
    release = await _find(service, number)
    links = _links(request, release, service.iris)
    return build_response(
        request, Representation(_page(pages, release, service.iris), HTML.media, links=links)
    )


@get(
    router,
    "/releases/{number}/{name}",
    operation_id="releaseFile",
    summary="Return a file of a release",
    tags=["have"],
    response_class=Response,
    response_description="The file",
    responses={200: {"content": {"*/*": {}}}} | problems(404, 410),
)
async def file(
    request: Request, service: ServiceDep, number: ReleaseNumber, name: FileName
) -> Response:
    """`release.json` lists the files. Range requests are supported."""
    release = await _find(service, number)
    return await run_in_threadpool(
        _file, request, service.data / "releases" / str(release.number), release, name
    )


@get(
    router,
    "/release/{number}",
    operation_id="release",
    summary="Describe a release",
    tags=["have"],
    response_model=DescriptionJson,
    response_description="The release as a data set",
    responses=other_contents(FORMATS.values()) | problems(404, 406),
)
async def release(
    request: Request, service: ServiceDep, pages: PagesDep, number: VersionedNumber
) -> Response:
    """Describe the files of a release, its position in the journal, and how to cite it."""
    number, suffix = split_suffix(number)
    release = await _find(service, number)
    urls = _urls(release)
    row, negotiated = negotiate_format(request, urls, suffix), is_negotiated(request, suffix)
    body = (
        _page(pages, release, service.iris)
        if row is HTML
        else serialize(_described(release, service.iris), row, service)
    )
    headers = {"Content-Location": urls.form(row)} if negotiated else {}
    links = _links(request, release, service.iris)
    return build_response(
        request,
        Representation(body, row.media, negotiated=negotiated, links=links, headers=headers),
    )


async def _find(service: QueryService, number: str) -> Release:
    """Return the release; raises HTTPProblem (404)."""
    folder = service.data / "releases"
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    release = await run_in_threadpool(get_release, folder, int(number)) if is_number else None
    if release is None or str(release.number) != number:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There is no release {number}; /releases/ lists them", number=number),
        )
    return release


def _urls(release: Release) -> ResourceURLs:
    return ResourceURLs(f"/release/{release.number}")


def _described(release: Release, iris: Iris) -> Description:
    """Describe a release as a dataset, with its position in the journal, and since when its files
    are withdrawn.
    """
    statements = list(dataset_statements(release_dataset(release, iris), iris.base))
    statements.append(
        Statement(
            release.iri,
            f"{iris.operations}journalEntry",
            Term(str(release.position), "literal", None, f"{XSD}integer"),
        )
    )
    if release.withdrawn:
        statements.append(
            Statement(
                release.iri,
                f"{PROV}invalidatedAtTime",
                Term(release.withdrawn, "literal", None, f"{XSD}dateTime"),
            )
        )
    return Description(release.iri, tuple(statements), {}, namespaces(iris))


def _links(request: Request, release: Release, iris: Iris) -> list[Link]:
    """Return the typed links of a release: citation, type, data, licence and files."""
    host, holding = origin(request), release_dataset(release, iris)
    return [
        Link("cite-as", release.iri),
        Link("type", f"{SCHEMA}Dataset"),
        *_urls(release).alternates("describedby", DATA_FORMATS.values()),
        *([Link("license", holding.licence)] if holding.licence else []),
        *(
            typed_link(
                "item", f"{host}/{copy.url.removeprefix(iris.base)}", copy.compression or copy.media
            )
            for copy in holding.distributions
        ),
        Link("collection", f"{host}/releases/"),
    ]


def _row(release: Release) -> ReleaseJson:
    return {
        "number": release.number,
        "iri": release.iri,
        "issued": release.issued,
        "position": release.position,
        "entry": release.entry,
        "kept": not release.withdrawn,
    }


def sort_by_code(lines: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    """Return the changes of each action line, C2 before C10."""
    return sorted(lines.items(), key=lambda line: sort_key("line", line[0], 0))


def _page(pages: Pages, release: Release, iris: Iris) -> bytes:
    markup = jsonld_block(dataset_markup(release_dataset(release, iris)))
    title, urls, licences = citation.title(release), _urls(release), citation.licences(release)
    response = pages.page(
        "release.html",
        release=release,
        title=title,
        licences=licences,
        urls=urls,
        graphs=DATA_FORMATS.values(),
        block=markup,
        by_code=sort_by_code,
    )
    return bytes(response.body)


def _file(request: Request, folder: Path, release: Release, name: str) -> Response:
    """Return a file of a release, 304 if the client has it already."""
    stem = name.removesuffix(SUFFIX)
    known = release.file(stem)
    if known is None and stem not in _OWN:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "Release {number} has no file {name}", number=release.number, name=name
            ),
        )
    if release.withdrawn and name != MANIFEST:
        raise HTTPProblem(
            HTTPStatus.GONE,
            TranslatableText(
                "The files of release {number} were kept until {day}; /releases/ lists newer ones",
                number=release.number,
                day=release.withdrawn,
            ),
        )
    headers = {"Cache-Control": "no-cache" if name == MANIFEST else _FOR_EVER}
    if known is None or stem != name:
        return send_file(
            request, folder / name, _OWN.get(name, "text/plain; charset=utf-8"), headers
        )
    headers |= {
        "ETag": f'"{known.sha256}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(known.sha256)).decode()}:",
    }
    return send_file(
        request, folder / name, "application/gzip" if name.endswith(".gz") else known.media, headers
    )
