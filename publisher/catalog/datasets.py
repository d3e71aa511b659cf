"""Holdings: what can be had here now, drawn up once for all that list it: the living dataset, what is kept, each registry's share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import quote

from starlette.requests import Request

from journal import mirror_origin
from publisher.catalog.dataset import ABOUT, TITLE, Catalog, CatalogSource, Dataset, DatasetKind, Distribution
from publisher.catalog.release_datasets import release_datasets
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, data_version, source_statuses
from vocab.iris import Iris, is_web

_RESULTS = "application/sparql-results+json"
_MAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+\Z")


async def load_catalog(service: QueryService, contact: str = "") -> Catalog:
    """Draw up what can be had now."""
    sources = await _sources(service)
    licence = _common_licence(sources)
    first = service.journal.entry(1)
    shown = data_version(service)
    begun = f"{first.time:%Y-%m-%dT%H:%M:%SZ}" if first else "1970-01-01T00:00:00Z"
    of = mirror_origin.read(service.journal.folder)
    living = _current_dataset(
        service.iris, begun, (shown.time if shown else None) or begun, licence, [it.iri for it in sources] + ([of.url] if of else [])
    )
    had = await asyncio.to_thread(release_datasets, service.data, service.iris, begun, licence)
    return Catalog(living, had, tuple(_source_dataset(it, service.iris, begun) for it in sources), sources, contact)


async def _sources(service: QueryService) -> tuple[CatalogSource, ...]:
    fare, counts = await source_statuses(service), await service.rows(query("source-counts"))
    records = {row["source"].value: int(row["records"].value) for row in counts}
    found: dict[str, CatalogSource] = {}
    for row in await service.rows(query("catalogued")):
        iri = row["source"].value
        name = iri.removeprefix(service.iris.source(""))
        found.setdefault(iri, _source(row, name, records.get(iri, 0), fare.get(name)))
    return tuple(found.values())


def _source(row: Row, name: str, records: int, standing: SourceStatus | None) -> CatalogSource:
    told = {key: term.value for key, term in row.items()}
    changed = (standing.told.get("lastChange") or standing.told.get("lastSuccess") or "") if standing else ""
    licence = told.get("licence", "")
    known = licence if is_web(licence) else None
    published = int(standing.told.get("publishedRecords", records)) if standing else records  # without what is gone
    return CatalogSource(told["source"], name, told["title"], told.get("publisher"), known, told.get("endpoint"), published, changed)


def _common_licence(sources: tuple[CatalogSource, ...]) -> str | None:
    """Give the licence of all sources, None where they have several, or one has none."""
    licences = {it.licence for it in sources}
    return next(iter(licences)) if len(licences) == 1 else None


def _current_dataset(iris: Iris, begun: str, modified: str, licence: str | None, sources: Iterable[str]) -> Dataset:
    base = iris.base
    copies = (
        Distribution("sparql", "SPARQL endpoint", f"{base}sparql", _RESULTS),
        Distribution("journal", "Journal: all changes as RDF Patch", f"{base}journal/", "application/rdf-patch"),
    )
    iri = f"{base}.well-known/void#dataset"
    name = "wsis-stocktaking"
    return Dataset(
        DatasetKind.LIVING, name, iri, TITLE, ABOUT, base, begun, modified, copies, begun, licence=licence, sources=tuple(sources)
    )


def _source_dataset(it: CatalogSource, iris: Iris, begun: str) -> Dataset:
    base, asked = iris.base, quote(query("share").replace("<source>", f"<{it.iri}>"), safe="")
    copies = (
        Distribution("csv", "Its records as CSV", f"{base}sparql?query={asked}&format=csv", "text/csv", file=True),
        Distribution("json", "Its records as JSON, a page at a time", f"{base}things.json?source={it.name}", "application/json", file=True),
        Distribution("sparql", "SPARQL endpoint", f"{base}sparql", _RESULTS),
    )
    about = (
        f"What {it.title} publishes, harvested and translated: {it.records} records, by WSIS action line and Sustainable Development Goal."
    )
    name, by = f"wsis-stocktaking-source-{it.name}"[:100], it.publisher or it.title
    changed = it.changed or begun
    return Dataset(
        DatasetKind.SHARE,
        name,
        f"{it.iri}#records",
        it.title,
        about,
        it.iri,
        begun,
        changed,
        copies,
        begun,
        by,
        it.licence,
        sources=(it.iri,),
    )


def contact_email(request: Request) -> str:
    """Give the address of mail at which the operators are reached, "" where they tell none."""
    contact = str(getattr(request.app.state, "contact", "")).removeprefix("mailto:")
    return contact if _MAIL.match(contact) else ""
