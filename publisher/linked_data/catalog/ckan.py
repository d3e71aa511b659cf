"""Datasets as the packages of a CKAN portal, with the search of its Action API, so that CKAN
harvesters need no new code.

Source: https://docs.ckan.org/en/latest/api/#module-ckan.logic.action.get
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from publisher.linked_data.catalog.dataset import (
    KEYWORDS,
    Catalog,
    Dataset,
    DatasetKind,
    Distribution,
)

Json = dict[str, object]

ROWS, MAX_ROWS = 10, 1000  # default and largest number of packages in a response, as in CKAN
_SORTS = ("metadata_modified", "metadata_created", "name", "title", "id")
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


class PackageSearch(NamedTuple):
    """A package search: words and filters in Solr's syntax; *sort* such as ``metadata_modified
    desc``.
    """

    q: str = ""
    fq: str = ""
    sort: str = ""
    start: int = 0
    rows: int = ROWS


def packages(catalog: Catalog) -> list[Json]:
    """Return all datasets as packages."""
    return [package(dataset, catalog.contact) for dataset in catalog.all]


def package(dataset: Dataset, contact: str = "") -> Json:
    """Return a dataset as a package; its id is derived from its IRI, so it never changes."""
    # CKAN's times are UTC without an offset
    created, modified = (time.removesuffix("Z") for time in (dataset.issued, dataset.modified))
    ident = _id(dataset.iri)
    words = [word.replace("/", " ") for word in KEYWORDS]
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
        "isopen": dataset.licence is not None and "creativecommons.org" in dataset.licence,
        "license_id": dataset.licence,
        "license_title": dataset.licence,
        "license_url": dataset.licence,
        "author": dataset.publisher,
        "author_email": None,
        "maintainer": None,
        "maintainer_email": contact or None,
        "metadata_created": created,
        "metadata_modified": modified,
        "owner_org": None,
        "organization": None,
        "groups": [],
        "tags": [
            {"name": word, "display_name": word, "state": "active", "vocabulary_id": None}
            for word in words
        ],
        "num_tags": len(words),
        "extras": [{"key": key, "value": value} for key, value in _extras(dataset)],
        "resources": [
            _resource(dataset, ident, position, distribution)
            for position, distribution in enumerate(dataset.distributions)
        ],
        "num_resources": len(dataset.distributions),
    }


def _extras(dataset: Dataset) -> Iterable[tuple[str, str]]:
    """Return the fields that CKAN lacks, by the keys of its DCAT extension."""
    extras = {
        "uri": dataset.iri,
        "identifier": dataset.iri,
        "issued": dataset.issued,
        "modified": dataset.modified,
        "publisher_name": dataset.publisher,
    }
    extras |= {
        "version_of": dataset.previous or "",
        "frequency": "continuous"
        if dataset.kind in (DatasetKind.CURRENT, DatasetKind.SOURCE)
        else "",
    }
    return ((key, value) for key, value in extras.items() if value)


def _resource(dataset: Dataset, package_id: str, position: int, distribution: Distribution) -> Json:
    return {
        "id": _id(f"{dataset.iri} {distribution.name}"),
        "package_id": package_id,
        "position": position,
        "name": distribution.name,
        "description": distribution.title,
        "url": distribution.url,
        "format": _FORMATS.get(distribution.media, distribution.media),
        "mimetype": distribution.compression or distribution.media,
        "mimetype_inner": distribution.media if distribution.compression else None,
        "size": distribution.bytes,
        "hash": f"sha256:{distribution.sha256}" if distribution.sha256 else "",
        "created": dataset.issued.removesuffix("Z"),
        "last_modified": dataset.modified.removesuffix("Z"),
        "state": "active",
        "resource_type": None if distribution.is_download else "api",
    }


def search_packages(candidates: list[Json], search: PackageSearch) -> Json:
    """Return the search results; raises ValueError for an unknown sort order."""
    matches = [dataset for dataset in candidates if _fits(dataset, search)]
    for name, down in reversed(_orders(search.sort)):
        matches.sort(key=lambda dataset: str(dataset[name]), reverse=down)
    page = matches[search.start : search.start + min(search.rows, MAX_ROWS)]
    return {
        "count": len(matches),
        "sort": search.sort or "metadata_modified desc",
        "facets": {},
        "search_facets": {},
        "results": page,
    }


def _orders(text: str) -> list[tuple[str, bool]]:
    orders = []
    for part in (text or "metadata_modified desc").split(","):
        name, _, direction = part.strip().partition(" ")
        if name == "score":  # all have the same score
            continue
        if name not in _SORTS or direction.strip() not in ("", "asc", "desc"):
            raise ValueError(f"sort is by {', '.join(_SORTS)}, asc or desc")
        orders.append((name, direction.strip() == "desc"))
    return orders


def _fits(package: Mapping[str, object], search: PackageSearch) -> bool:
    text = " ".join(
        str(package[name]) for name in ("id", "name", "title", "notes", "author", "tags")
    ).lower()
    filters = " ".join((search.q, search.fq))
    for match in _RANGE.finditer(filters):
        since, until = (end.removesuffix("Z") for end in match.groups())
        if not (since == "*" or since <= str(package["metadata_modified"])) or not (
            until == "*" or str(package["metadata_modified"]) <= until
        ):
            return False
    words = _RANGE.sub("", search.q).replace("*:*", "").lower().split()
    return all(word.strip('"') in text for word in words)


def _id(iri: str) -> str:
    return str(uuid5(NAMESPACE_URL, iri))
