"""Serve ``/releases/`` and each release's files, with range requests, ``/release/{n}``, which
describes one release, ``/columns``, which describes its tables, and ``/reports/``, the stocktaking
reports, each as a page, as PDF and as numbers.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import APIRouter
from fastapi import Path as PathParam
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import LANGUAGES, TranslatableText
from publisher.catalog.datasets import release_dataset
from publisher.catalog.dcat import dataset_statements
from publisher.catalog.portals import dataset_markup
from publisher.linked_data.entities import Entity, EntityPage, Values, first_segment, jsonld_block
from publisher.pages import PagesDep, ServiceDep
from publisher.portal.figures import sort_key
from publisher.portal.report.builder import NUMBERS, PRINT, REPORT, STYLE, list_reports
from publisher.rdf import Term, namespaces
from publisher.releases import metadata
from publisher.releases.metadata import CODEBOOK
from publisher.releases.signature import PUBLIC, SUFFIX, SUMS
from publisher.releases.tables import TABLES
from publisher.store.descriptions import Description, node_statements
from publisher.store.query_service import QueryService
from publisher.store.releases import (
    MANIFEST,
    Release,
    get_release,
    list_releases,
    release_numbers,
)
from vocab.terms import SCHEMA, XSD
from web.endpoints import contents, get, problems
from web.respond import (
    DATA_FORMATS,
    HTML,
    IMMUTABLE,
    JSON,
    Link,
    ResourceURLs,
    origin,
    require,
    respond,
    respond_in,
    see_other,
    split_suffix,
    typed_link,
)

SAMPLES = 3  # rows of a table that are shown
MAX_SAMPLE = 1 << 16  # first bytes of a table that are read
# The files of a release that its manifest does not list.
_OWN = {
    MANIFEST: "application/json",
    SUMS: "text/plain; charset=utf-8",
}


ReleaseNumber = Annotated[str, PathParam(description="The number of the release", examples=["1"])]
FileName = Annotated[str, PathParam(description="The name of a file of the release")]
router = APIRouter()


@get(router, "/releases", include_in_schema=False)
async def add_slash(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path}/", HTTPStatus.PERMANENT_REDIRECT)


@get(
    router,
    "/releases/",
    operation_id="releases",
    summary="List the releases",
    tags=["have"],
    response_description="The releases",
    responses=contents("text/html", json="ReleasesJson"),
)
def list_releases_page(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A release is all data at one journal entry, numbered, signed and never changed."""
    releases = list_releases(service.data / "releases")
    names = ("number", "iri", "issued", "position", "entry")
    rows = [
        {**{name: getattr(item, name) for name in names}, "kept": not item.withdrawn}
        for item in releases
    ]
    return respond_in(
        request,
        {
            HTML: lambda: pages.page("releases.html", releases=releases),
            JSON: lambda: orjson.dumps({"releases": rows}),
        },
    )


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
def public_key(request: Request, service: ServiceDep) -> Response:
    """`minisign` verifies the signatures with it."""
    path = service.data / "signing" / PUBLIC
    require(path.is_file(), TranslatableText("There is no public key before the first release"))
    return respond(request, path, "text/plain; charset=utf-8")


get(router, "/releases/{number}", include_in_schema=False)(add_slash)


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
def file(request: Request, service: ServiceDep, number: ReleaseNumber, name: FileName) -> Response:
    """`release.json` lists the files. Range requests are supported."""
    release, stem = _read(service, number), name.removesuffix(SUFFIX)
    known = release.file(stem)
    require(
        known or stem in _OWN,
        TranslatableText("Release {number} has no file {name}", number=release.number, name=name),
    )
    require(
        name == MANIFEST or not release.withdrawn,
        TranslatableText(
            "The files of release {number} were kept until {day}; /releases/ lists newer ones",
            number=release.number,
            day=release.withdrawn,
        ),
        HTTPStatus.GONE,
    )
    media = _OWN.get(name, "text/plain; charset=utf-8")
    headers = {"Cache-Control": "no-cache" if name == MANIFEST else IMMUTABLE}
    if known and stem == name:
        media = "application/gzip" if name.endswith(".gz") else known.media
        digest = base64.b64encode(bytes.fromhex(known.sha256)).decode()
        headers |= {"ETag": f'"{known.sha256}"', "Repr-Digest": f"sha-256=:{digest}:"}
    return respond(request, service.data / "releases" / number / name, media, headers=headers)


@get(router, "/columns", include_in_schema=False)
def columns(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Describe the tables of the latest release, column by column, with their first rows."""
    numbers = release_numbers(service.data / "releases")
    number = numbers[-1] if numbers else None
    folder, samples = service.data / "releases" / str(number), dict[str, list[dict[str, str]]]()
    for table in TABLES:
        file = folder / f"{table}.csv.gz"
        if file.is_file():
            with gzip.open(file) as content:
                text = content.read(MAX_SAMPLE).decode(errors="ignore")
            samples[table] = list(csv.DictReader(io.StringIO(text)))[:SAMPLES]
    return respond(
        request,
        pages.page(
            "columns.html",
            tables=TABLES.values(),
            samples=samples,
            number=number,
            files=f"{origin(request)}/releases/{number or 1}",
            # It is gone where the files of the release were withdrawn.
            has_codebook=(folder / CODEBOOK).is_file(),
        ),
        HTML,
    )


def _read(service: QueryService, number: str) -> Release:
    """Return the release; raises HTTPProblem (404)."""
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    release = get_release(service.data / "releases", int(number)) if is_number else None
    return require(
        release if release and str(release.number) == number else None,
        TranslatableText("There is no release {number}; /releases/ lists them", number=number),
    )


async def find_release(request: Request, service: QueryService) -> tuple[str, Entity]:
    """Return a release as a dataset, with its position in the journal, and since when its files are
    withdrawn. Raises HTTPProblem (404).
    """
    number, suffix = split_suffix(request.path_params["number"])
    if first_segment(request) == "releases":
        number, suffix = request.path_params["number"], HTML.suffix
    release, iris = await run_in_threadpool(_read, service, number), service.iris
    node = {
        "@id": release.iri,
        f"{iris.operations}journalEntry": Term(
            str(release.position), "literal", None, f"{XSD}integer"
        ),
        "prov:invalidatedAtTime": Term(release.withdrawn, "literal", None, f"{XSD}dateTime")
        if release.withdrawn
        else None,
    }
    dataset = dataset_statements(release_dataset(release, iris), iris.base)
    description = Description(release.iri, (*dataset, *node_statements(node)), {}, namespaces(iris))
    return "release", Entity(description, ResourceURLs(f"/release/{number}"), suffix, None)


def release_links(page: EntityPage) -> list[Link]:
    host, iris = page.host, page.service.iris
    dataset = release_dataset(_read(page.service, page.entity.path[1]), iris)
    files = [
        (copy.url.removeprefix(iris.base), copy.compression or copy.media)
        for copy in dataset.distributions
    ]
    return [
        page.cite,
        Link("type", f"{SCHEMA}Dataset"),
        *page.entity.urls.alternates("describedby", DATA_FORMATS.values()),
        *([Link("license", dataset.licence)] if dataset.licence else []),
        *(typed_link("item", f"{host}/{path}", media) for path, media in files),
        Link("collection", f"{host}/releases/"),
    ]


async def release_values(page: EntityPage) -> Values:
    release = _read(page.service, page.entity.path[1])
    return {
        "release": release,
        "title": metadata.title(release),
        "licences": metadata.licences(release),
        "block": jsonld_block(dataset_markup(release_dataset(release, page.service.iris))),
        "by_code": sort_by_code,
    }


def sort_by_code(lines: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    """Return the changes of each action line, C2 before C10."""
    return sorted(lines.items(), key=lambda line: sort_key("line", line[0], 0))


_MEDIA = {
    REPORT: "text/html; charset=utf-8",
    PRINT: "application/pdf",
    STYLE: "text/css; charset=utf-8",
    NUMBERS: "application/json",
    "SHA256SUMS": "text/plain; charset=utf-8",
}
ReportName = Annotated[str, PathParam(description="The name of the report")]
ReportFile = Annotated[
    str, PathParam(description="The file", json_schema_extra={"enum": list(_MEDIA)})
]
reports = APIRouter()


@get(
    reports,
    "/reports/",
    operation_id="reports",
    summary="List the stocktaking reports",
    tags=["have"],
    response_description="The reports",
    responses=contents("text/html", json="ReportsJson"),
)
def list_reports_page(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A report describes the data of a release in sentences, figures and numbers."""
    published = list_reports(service.data / "reports")
    names = ("name", "title", "release", "language", "files")
    rows = [{name: item[name] for name in names} for item in published]
    return respond_in(
        request,
        {
            HTML: lambda: pages.page("reports.html", reports=published, languages=LANGUAGES),
            JSON: lambda: orjson.dumps({"reports": rows}),
        },
    )


@get(reports, "/reports/{name}/", include_in_schema=False)
def report(request: Request, service: ServiceDep, name: ReportName) -> Response:
    _find_file(service, name, REPORT)
    return see_other(request, f"/reports/{name}/{REPORT}")


@get(
    reports,
    "/reports/{name}/{file}",
    operation_id="reportFile",
    summary="Return a file of a report",
    tags=["have"],
    response_class=Response,
    response_description="The file",
    responses=contents(*_MEDIA.values()) | problems(404),
)
def report_file(
    request: Request, service: ServiceDep, name: ReportName, file: ReportFile
) -> Response:
    """The report as a page and as PDF, its numbers as JSON, and the checksums."""
    return respond(request, _find_file(service, name, file), _MEDIA[file])


def _find_file(service: QueryService, name: str, file: str) -> Path:
    """Return the path of a file of a report; raises HTTPProblem (404) if there is none."""
    folder = service.data / "reports"
    known = file in _MEDIA and name in {item["name"] for item in list_reports(folder)}
    require(
        known and (folder / name / file).is_file(),
        TranslatableText("There is no such report; /reports/ lists them"),
    )
    return folder / name / file
