"""Load the datasets of this installation: the current data, releases or dumps, and the data of each
registry.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request

from journal import mirror_origin
from publisher.linked_data.catalog.dataset import (
    ABOUT,
    TITLE,
    Catalog,
    CatalogSource,
    Dataset,
    DatasetKind,
    Distribution,
)
from publisher.linked_data.catalog.release_datasets import release_datasets
from publisher.rdf.results import Row
from publisher.releases.citation import DEMO_NOTE, DEMO_PREFIX
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, data_version, source_statuses
from vocab.iris import Iris, is_web

_RESULTS = "application/sparql-results+json"
_MAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+\Z")


async def load_catalog(service: QueryService, request: Request) -> Catalog:
    """Return all datasets of this installation. Those of a demo installation say in their titles
    that the data are made up.
    """
    sources = await _sources(service)
    licence = _common_licence(sources)
    first = service.journal.entry(1)
    version = data_version(service)
    started = f"{first.time:%Y-%m-%dT%H:%M:%SZ}" if first else "1970-01-01T00:00:00Z"
    origin = mirror_origin.read(service.journal.folder)
    current = _current_dataset(
        service.iris,
        started,
        (version.time if version else None) or started,
        licence,
        [source.iri for source in sources] + ([origin.url] if origin else []),
    )
    snapshots = await asyncio.to_thread(
        release_datasets, service.data, service.iris, started, licence
    )
    shares = tuple(_source_dataset(source, service.iris, started) for source in sources)
    catalog = Catalog(current, snapshots, shares, sources, _contact_email(request))
    return _mark_demo(catalog) if getattr(request.app.state, "demo", False) else catalog


def _mark_demo(catalog: Catalog) -> Catalog:
    current, *others = (
        dataset
        if dataset.title.startswith(DEMO_PREFIX)
        else replace(
            dataset, title=DEMO_PREFIX + dataset.title, about=f"{DEMO_NOTE} {dataset.about}"
        )
        for dataset in catalog.all
    )
    count = len(catalog.snapshots)
    return replace(
        catalog,
        current=current,
        snapshots=tuple(others[:count]),
        source_datasets=tuple(others[count:]),
    )


async def _sources(service: QueryService) -> tuple[CatalogSource, ...]:
    statuses, counts = await source_statuses(service), await service.rows(query("source-counts"))
    records = {row["source"].value: int(row["records"].value) for row in counts}
    results: dict[str, CatalogSource] = {}
    for row in await service.rows(query("registries")):
        iri = row["source"].value
        name = iri.removeprefix(service.iris.source(""))
        results.setdefault(iri, _source(row, name, records.get(iri, 0), statuses.get(name)))
    return tuple(results.values())


def _source(row: Row, name: str, records: int, source_status: SourceStatus | None) -> CatalogSource:
    document = {key: term.value for key, term in row.items()}
    changed = (
        (
            source_status.properties.get("lastChange")
            or source_status.properties.get("lastSuccess")
            or ""
        )
        if source_status
        else ""
    )
    licence = document.get("licence", "")
    known = licence if is_web(licence) else None
    # without deleted records
    published = (
        int(source_status.properties.get("publishedRecords", records)) if source_status else records
    )
    return CatalogSource(
        document["source"],
        name,
        document["title"],
        document.get("publisher"),
        known,
        document.get("endpoint"),
        published,
        changed,
    )


def _common_licence(sources: tuple[CatalogSource, ...]) -> str | None:
    """Return the licence that all sources have, None if they differ or one has none."""
    licences = {source.licence for source in sources}
    return next(iter(licences)) if len(licences) == 1 else None


def _current_dataset(
    iris: Iris, started: str, modified: str, licence: str | None, sources: Iterable[str]
) -> Dataset:
    base = iris.base
    copies = (
        Distribution("sparql", "SPARQL endpoint", f"{base}sparql", _RESULTS),
        Distribution(
            "journal",
            "Journal: all changes as RDF Patch",
            f"{base}journal/",
            "application/rdf-patch",
        ),
    )
    iri = f"{base}.well-known/void#dataset"
    name = "wsis-stocktaking"
    return Dataset(
        DatasetKind.CURRENT,
        name,
        iri,
        TITLE,
        ABOUT,
        base,
        started,
        modified,
        copies,
        started,
        licence=licence,
        sources=tuple(sources),
    )


def _source_dataset(source: CatalogSource, iris: Iris, started: str) -> Dataset:
    base, params = iris.base, quote(query("share").replace("<source>", f"<{source.iri}>"), safe="")
    copies = (
        Distribution(
            "csv",
            "Its records as CSV",
            f"{base}sparql?query={params}&format=csv",
            "text/csv",
            is_download=True,
        ),
        Distribution(
            "json",
            "Its records as JSON, a page at a time",
            f"{base}things.json?source={source.name}",
            "application/json",
            is_download=True,
        ),
        Distribution("sparql", "SPARQL endpoint", f"{base}sparql", _RESULTS),
    )
    about = (
        f"What {source.title} publishes, harvested and translated: {source.records} records, "
        "by WSIS action line and Sustainable Development Goal."
    )
    name, by = f"wsis-stocktaking-source-{source.name}"[:100], source.publisher or source.title
    changed = source.changed or started
    return Dataset(
        DatasetKind.SOURCE,
        name,
        f"{source.iri}#records",
        source.title,
        about,
        source.iri,
        started,
        changed,
        copies,
        started,
        by,
        source.licence,
        sources=(source.iri,),
    )


def _contact_email(request: Request) -> str:
    """Return the e-mail address of the operators, "" if there is none."""
    contact = str(getattr(request.app.state, "contact", "")).removeprefix("mailto:")
    return contact if _MAIL.match(contact) else ""
