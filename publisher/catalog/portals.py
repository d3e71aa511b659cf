"""The datasets as other portals harvest them: as packages of a CKAN portal with the search of its
Action API, as data.json by the Project Open Data Metadata Schema 1.1, and as schema.org markup.

Sources: https://docs.ckan.org/en/latest/api/#module-ckan.logic.action.get,
https://resources.data.gov/resources/dcat-us/ (the same schema under its later name) and
https://developers.google.com/search/docs/appearance/structured-data/dataset
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from operator import itemgetter
from typing import Annotated
from uuid import NAMESPACE_URL, uuid5

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from publisher.catalog.datasets import (
    KEYWORDS,
    Dataset,
    load_catalog,
)
from publisher.pages import ServiceDep
from web.branding import NAME
from web.endpoints import contents, get, problems
from web.respond import respond

Json = dict[str, object]

ROWS, MAX_ROWS = 10, 1000  # default and largest number of packages in a response, as in CKAN
_ACTIONS = ("package_list", "package_search", "package_show", "status_show")
_SORTS = ("metadata_modified", "metadata_created", "name", "title", "id")
_NEWEST = "metadata_modified desc"
_RANGE = re.compile(r"metadata_modified:\[([^\s\[\]]+) TO ([^\s\[\]]+)\]")
_FORMATS = {
    "application/n-quads": "N-Quads",
    "application/n-triples": "N-Triples",
    "text/turtle": "TTL",
    "application/ld+json": "JSON-LD",
    "application/json": "JSON",
    "text/csv": "CSV",
    "application/vnd.apache.parquet": "Parquet",
    "application/sparql-results+json": "SPARQL",
    "application/rdf-patch": "RDF-Patch",
}
_OPEN_DATA = "https://project-open-data.cio.gov/v1.1/schema"
Number = Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 0})]
_ANSWER = contents(json="CkanAnswer")
router = APIRouter()


async def action_parameters(
    action: Annotated[
        str, Path(description="The action", json_schema_extra={"enum": list(_ACTIONS)})
    ],
    id: Annotated[
        str | None, Query(description="For package_show: the name or id of a package")
    ] = None,
    q: Annotated[str | None, Query(description="For package_search: words")] = None,
    fq: Annotated[str | None, Query(description="For package_search: a filter query")] = None,
    sort: Annotated[
        str | None, Query(description="For package_search: the order, such as `name asc`")
    ] = None,
    rows: Annotated[Number, Query(description="For package_search: packages a response")] = None,
    start: Annotated[Number, Query(description="For package_search: packages to skip")] = None,
    limit: Annotated[Number, Query(description="For package_list: names a response")] = None,
    offset: Annotated[Number, Query(description="For package_list: names to skip")] = None,
) -> None:
    """Declare the parameters. Clients may send them in a JSON body too; invalid ones get CKAN's own
    errors.
    """


@get(
    router,
    "/data.json",
    operation_id="dataJson",
    summary="List all data sets by Project Open Data 1.1",
    tags=["have"],
    response_model=dict[str, object],
    response_description="The catalog",
    responses=problems(503),
)
async def project_open_data(request: Request, service: ServiceDep) -> Response:
    """Portals that harvest `data.json` read this."""
    catalog = await load_catalog(service, request)
    document = {
        "@context": f"{_OPEN_DATA}/catalog.jsonld",
        "@id": f"{service.iris.base}data.json",
        "@type": "dcat:Catalog",
        "conformsTo": _OPEN_DATA,
        "describedBy": f"{_OPEN_DATA}/catalog.json",
        "dataset": [_open_data(dataset, catalog.contact) for dataset in catalog.datasets],
    }
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return respond(request, body, "application/json")


@router.post("/api/3/action/{action}", include_in_schema=False)
@router.post("/api/action/{action}", include_in_schema=False)
@get(router, "/api/action/{action}", include_in_schema=False)
@get(
    router,
    "/api/3/action/{action}",
    operation_id="ckan",
    summary="List all data sets as CKAN's Action API does",
    tags=["have"],
    dependencies=[Depends(action_parameters)],
    response_description="The result of the action",
    responses={
        **_ANSWER,
        404: {**_ANSWER[200], "description": "The action or the package does not exist"},
        409: {**_ANSWER[200], "description": "A parameter is invalid"},
        **problems(503),
    },
)
async def action(request: Request, service: ServiceDep) -> Response:
    """Portals that harvest CKAN read this."""
    name = request.path_params["action"]
    params: Json = dict(request.query_params)
    try:
        if request.method == "POST" and (data := await request.body()):
            sent = orjson.loads(data)  # CKAN's own clients send a JSON body
            if not isinstance(sent, dict):
                raise ValueError("the body must be a JSON object")
            params |= sent
        catalog = await load_catalog(service, request)
        packages = [_package(dataset, catalog.contact) for dataset in catalog.datasets]
        result = _result(name, params, packages)
    except (ValueError, TypeError) as error:
        return _error_response(HTTPStatus.CONFLICT, "Validation Error", str(error))
    except LookupError as error:
        return _error_response(HTTPStatus.NOT_FOUND, "Not Found Error", str(error.args[0]))
    help_ = f"{service.iris.base}api/3/action/help_show?name={name}"
    body = orjson.dumps({"help": help_, "success": True, "result": result})
    return respond(request, body, "application/json")


def _error_response(status: HTTPStatus, kind: str, message: str) -> Response:
    body = orjson.dumps({"success": False, "error": {"__type": kind, "message": message}})
    return Response(body, status, media_type="application/json")


def _result(action: str, params: Mapping[str, object], packages: list[Json]) -> object:
    """Return the result of one of CKAN's actions; raises LookupError and ValueError."""
    match action:
        case "package_search":
            q, fq, sort = (str(params.get(name) or "") for name in ("q", "fq", "sort"))
            return search_packages(packages, q, fq, sort, *_window(params, "start", "rows", ROWS))
        case "package_list":
            start, rows = _window(params, "offset", "limit", len(packages))
            return sorted(str(package["name"]) for package in packages)[start : start + rows]
        case "package_show":
            wanted = params.get("id")
            matching = [item for item in packages if wanted in (item["name"], item["id"])]
            if not matching:
                raise LookupError(f"Package {wanted} not found")
            return matching[0]
        case "status_show":
            return {"ckan_version": "2.10.0", "site_title": packages[0]["title"], "extensions": []}
        case _:
            raise LookupError(f"Unknown action; available: {', '.join(_ACTIONS)}")


def _window(params: Mapping[str, object], first: str, most: str, otherwise: int) -> tuple[int, int]:
    start, rows = int(str(params.get(first, 0))), int(str(params.get(most, otherwise)))
    if start < 0 or rows < 0:
        raise ValueError(f"{first} and {most} must be numbers from 0")
    return start, rows


def search_packages(
    packages: list[Json],
    q: str = "",
    fq: str = "",
    sort: str = "",
    start: int = 0,
    rows: int = ROWS,
) -> Json:
    """Return the results of a search; *q* and *fq* are words and filters in Solr's syntax, *sort*
    is such as ``name asc, title desc``. Raises ValueError for an unknown order.
    """
    matches = [package for package in packages if _matches(package, q, f"{q} {fq}")]
    for part in reversed((sort or _NEWEST).split(",")):
        name, _, direction = part.strip().partition(" ")
        if name == "score":  # all have the same score
            continue
        if name not in _SORTS or direction.strip() not in ("", "asc", "desc"):
            raise ValueError(f"sort is by {', '.join(_SORTS)}, asc or desc")
        matches.sort(key=itemgetter(name), reverse=direction.strip() == "desc")
    return {
        "count": len(matches),
        "sort": sort or _NEWEST,
        "facets": {},
        "search_facets": {},
        "results": matches[start : start + min(rows, MAX_ROWS)],
    }


def _matches(package: Json, words: str, filters: str) -> bool:
    modified = str(package["metadata_modified"])
    for since, until in _RANGE.findall(filters):
        if since != "*" and modified < since.removesuffix("Z"):
            return False
        if until != "*" and modified > until.removesuffix("Z"):
            return False
    names = ("id", "name", "title", "notes", "author", "tags")
    text = " ".join(str(package[name]) for name in names).lower()
    terms = _RANGE.sub("", words).replace("*:*", "").lower().split()
    return all(term.strip('"') in text for term in terms)


def _package(dataset: Dataset, contact: str) -> Json:
    """Return a dataset as a package of CKAN; its id is derived from its IRI, so it never changes."""
    ident = str(uuid5(NAMESPACE_URL, dataset.iri))
    licence, words = dataset.licence, [word.replace("/", " ") for word in KEYWORDS]
    # The fields that CKAN lacks, by the keys of its DCAT extension.
    extras = {
        "uri": dataset.iri,
        "identifier": dataset.iri,
        "issued": dataset.issued,
        "modified": dataset.modified,
        "publisher_name": dataset.publisher,
        "version_of": dataset.previous,
        "frequency": "continuous" if dataset.is_continuous else None,
    }
    return {
        "id": ident,
        "name": dataset.name.lower(),
        "title": dataset.title,
        "notes": dataset.about,
        "url": dataset.page,
        "version": dataset.version,
        "type": "dataset",
        "state": "active",
        "private": False,
        "isopen": licence is not None and "creativecommons.org" in licence,
        "license_id": licence,
        "license_title": licence,
        "license_url": licence,
        "author": dataset.publisher,
        "author_email": None,
        "maintainer": None,
        "maintainer_email": contact or None,
        # CKAN's times are UTC without an offset.
        "metadata_created": dataset.issued.removesuffix("Z"),
        "metadata_modified": dataset.modified.removesuffix("Z"),
        "owner_org": None,
        "organization": None,
        "groups": [],
        "tags": [
            {"name": word, "display_name": word, "state": "active", "vocabulary_id": None}
            for word in words
        ],
        "num_tags": len(words),
        "extras": [{"key": key, "value": value} for key, value in extras.items() if value],
        "resources": [
            {
                "id": str(uuid5(NAMESPACE_URL, f"{dataset.iri} {copy.name}")),
                "package_id": ident,
                "position": position,
                "name": copy.name,
                "description": copy.title,
                "url": copy.url,
                "format": _FORMATS.get(copy.media, copy.media),
                "mimetype": copy.compression or copy.media,
                "mimetype_inner": copy.media if copy.compression else None,
                "size": copy.bytes,
                "hash": f"sha256:{copy.sha256}" if copy.sha256 else "",
                "created": dataset.issued.removesuffix("Z"),
                "last_modified": dataset.modified.removesuffix("Z"),
                "state": "active",
                "resource_type": None if copy.is_download else "api",
            }
            for position, copy in enumerate(dataset.distributions)
        ],
        "num_resources": len(dataset.distributions),
    }


def _open_data(dataset: Dataset, contact: str) -> Json:
    """Return a dataset for data.json; without an e-mail address its contact has only a name."""
    return {
        "@type": "dcat:Dataset",
        "identifier": dataset.iri,
        "title": dataset.title,
        "description": dataset.about,
        "keyword": list(KEYWORDS),
        "issued": dataset.issued,
        "modified": dataset.modified,
        "publisher": {"@type": "org:Organization", "name": dataset.publisher},
        "contactPoint": {
            "@type": "vcard:Contact",
            "fn": NAME,
            **({"hasEmail": f"mailto:{contact}"} if contact else {}),
        },
        "accessLevel": "public",
        "language": ["en"],
        "landingPage": dataset.page,
        "distribution": [
            {
                "@type": "dcat:Distribution",
                "title": copy.name,
                "description": copy.title,
                **(
                    {"downloadURL": copy.url, "mediaType": copy.compression or copy.media}
                    if copy.is_download
                    else {"accessURL": copy.url, "format": "API"}
                ),
            }
            for copy in dataset.distributions
        ],
        **({"license": dataset.licence} if dataset.licence else {}),
        **(
            {"temporal": f"{dataset.coverage_start}/{dataset.modified}"}
            if dataset.coverage_start
            else {}
        ),
        "accrualPeriodicity": "R/PT1S" if dataset.is_continuous else "irregular",
    }


def dataset_markup(dataset: Dataset) -> Json:
    """Describe a dataset and its downloads with schema.org terms, for dataset search engines."""
    markup: Json = {
        "@type": "Dataset",
        "@id": dataset.iri,
        "identifier": dataset.iri,
        "name": dataset.title,
        "description": dataset.about,
        "url": dataset.page,
        "datePublished": dataset.issued,
        "dateModified": dataset.modified,
        "version": dataset.version,
        "license": dataset.licence,
        "keywords": list(KEYWORDS),
        "isAccessibleForFree": True,
        "creator": {"@type": "Organization", "name": NAME},
        "isBasedOn": list(dataset.sources),
        "distribution": [
            {
                "@type": "DataDownload",
                "name": copy.name,
                "contentUrl": copy.url,
                "encodingFormat": copy.compression or copy.media,
                **(
                    {}
                    if copy.bytes is None
                    else {"contentSize": f"{copy.bytes} B", "sha256": copy.sha256}
                ),
            }
            for copy in dataset.distributions
            if copy.is_download
        ],
    }
    return {key: value for key, value in markup.items() if value}
