"""CKAN: holdings as the packages of a CKAN portal, searched as its Action API does, so that other portals harvest them without code.

Source: https://docs.ckan.org/en/latest/api/#module-ckan.logic.action.get
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from publisher.catalog.dataset import KEYWORDS, Catalog, Dataset, DatasetKind, Distribution

Json = dict[str, object]

ROWS, MAX_ROWS = 10, 1000  # packages an answer where nothing is said, and at most, as CKAN has them
_SORTS = ("metadata_modified", "metadata_created", "name", "title", "id")
_RANGE = re.compile(r"metadata_modified:\[(\S+) TO (\S+)\]")
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
    """What is searched for: words and filters as Solr writes them; *sort* such as ``metadata_modified desc``."""

    q: str = ""
    fq: str = ""
    sort: str = ""
    start: int = 0
    rows: int = ROWS


def packages(it: Catalog) -> list[Json]:
    """Give every holding as a package."""
    return [package(one, it.contact) for one in it.all]


def package(it: Dataset, contact: str = "") -> Json:
    """Give a holding as a package; ids are made from addresses, so that they stay."""
    created, modified = (time.removesuffix("Z") for time in (it.issued, it.modified))  # CKAN's times are UTC and do not say so
    ident = _id(it.iri)
    words = [word.replace("/", " ") for word in KEYWORDS]
    return {
        "id": ident,
        "name": it.name.lower(),
        "title": it.title,
        "notes": it.about,
        "url": it.page,
        "version": it.version,
        "type": "dataset",
        "state": "active",
        "private": False,
        "isopen": it.licence is not None and "creativecommons.org" in it.licence,
        "license_id": it.licence,
        "license_title": it.licence,
        "license_url": it.licence,
        "author": it.publisher,
        "author_email": None,
        "maintainer": None,
        "maintainer_email": contact or None,
        "metadata_created": created,
        "metadata_modified": modified,
        "owner_org": None,
        "organization": None,
        "groups": [],
        "tags": [{"name": word, "display_name": word, "state": "active", "vocabulary_id": None} for word in words],
        "num_tags": len(words),
        "extras": [{"key": key, "value": value} for key, value in _extras(it)],
        "resources": [_resource(it, ident, place, copy) for place, copy in enumerate(it.copies)],
        "num_resources": len(it.copies),
    }


def _extras(it: Dataset) -> Iterable[tuple[str, str]]:
    """Give what CKAN has no field for, by the keys of its extension for DCAT."""
    told = {"uri": it.iri, "identifier": it.iri, "issued": it.issued, "modified": it.modified, "publisher_name": it.publisher}
    told |= {"version_of": it.previous or "", "frequency": "continuous" if it.kind in (DatasetKind.LIVING, DatasetKind.SHARE) else ""}
    return ((key, value) for key, value in told.items() if value)


def _resource(it: Dataset, package_id: str, place: int, copy: Distribution) -> Json:
    return {
        "id": _id(f"{it.iri} {copy.name}"),
        "package_id": package_id,
        "position": place,
        "name": copy.name,
        "description": copy.title,
        "url": copy.url,
        "format": _FORMATS.get(copy.media, copy.media),
        "mimetype": copy.packed or copy.media,
        "mimetype_inner": copy.media if copy.packed else None,
        "size": copy.bytes,
        "hash": f"sha256:{copy.sha256}" if copy.sha256 else "",
        "created": it.issued.removesuffix("Z"),
        "last_modified": it.modified.removesuffix("Z"),
        "state": "active",
        "resource_type": None if copy.file else "api",
    }


def search_packages(found: list[Json], asked: PackageSearch) -> Json:
    """Answer a search; raises ValueError where its order is none."""
    fitting = [it for it in found if _fits(it, asked)]
    for name, down in reversed(_orders(asked.sort)):
        fitting.sort(key=lambda it: str(it[name]), reverse=down)
    shown = fitting[asked.start : asked.start + min(asked.rows, MAX_ROWS)]
    return {"count": len(fitting), "sort": asked.sort or "metadata_modified desc", "facets": {}, "search_facets": {}, "results": shown}


def _orders(text: str) -> list[tuple[str, bool]]:
    orders = []
    for part in (text or "metadata_modified desc").split(","):
        name, _, way = part.strip().partition(" ")
        if name == "score":  # all fit alike
            continue
        if name not in _SORTS or way.strip() not in ("", "asc", "desc"):
            raise ValueError(f"sort is by {', '.join(_SORTS)}, asc or desc")
        orders.append((name, way.strip() == "desc"))
    return orders


def _fits(it: Mapping[str, object], asked: PackageSearch) -> bool:
    text = " ".join(str(it[name]) for name in ("id", "name", "title", "notes", "author", "tags")).lower()
    filters = " ".join((asked.q, asked.fq))
    for match in _RANGE.finditer(filters):
        since, until = (end.removesuffix("Z") for end in match.groups())
        if not (since == "*" or since <= str(it["metadata_modified"])) or not (until == "*" or str(it["metadata_modified"]) <= until):
            return False
    words = _RANGE.sub("", asked.q).replace("*:*", "").lower().split()
    return all(word.strip('"') in text for word in words)


def _id(iri: str) -> str:
    return str(uuid5(NAMESPACE_URL, iri))
