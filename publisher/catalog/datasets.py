"""The datasets of this installation, from which all catalogues are made: the current data, its
releases and the share of each registry; and the services that it offers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request

from journal.store import read_origin
from publisher.rdf import Row
from publisher.releases import metadata
from publisher.releases.metadata import DEMO_NOTE, DEMO_PREFIX
from publisher.store.descriptions import SourceStatus, source_statuses
from publisher.store.query_service import QueryService, query
from publisher.store.releases import Release, list_releases
from vocab.iris import Iris, is_web
from web.branding import NAME

ABOUT = (
    "Initiatives, events, documents and posts from public registries of digital development, in one vocabulary, linked to the WSIS action "
    "lines and the Sustainable Development Goals: as it is now. Each record names its registry, whose licence it keeps."
)
KEYWORDS = (
    "WSIS",
    "action lines",
    "Sustainable Development Goals",
    "SDG",
    "digital development",
    "ICT for development",
    "linked data",
)
_GZIP = "application/gzip"
_MAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+\Z")


class DatasetKind(Enum):
    """The kind of a dataset: all current data, all data of a release, or the data of one registry."""

    CURRENT = "living"
    RELEASE = "release"
    SOURCE = "share"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A way to get a dataset: *media* is the media type of the content, *compression* that of the
    compressed file.

    Without *is_download* it is a service. *bytes* and *sha256* (hexadecimal) are those of a stored
    file.
    """

    name: str
    title: str
    url: str
    media: str
    compression: str = ""
    is_download: bool = False
    bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset; times are UTC as xsd:dateTime, *licence* is None if its sources have several.

    *coverage_start* is when its oldest statement was first published, "" if unknown, *previous* the
    IRI of the release before it. *sources* are those of its data, *endpoint* is where a registry is
    harvested.
    """

    kind: DatasetKind
    name: str
    iri: str
    title: str
    about: str
    page: str
    issued: str
    modified: str
    distributions: tuple[Distribution, ...]
    coverage_start: str
    publisher: str = NAME
    licence: str | None = None
    version: str | None = None
    previous: str | None = None
    sources: tuple[str, ...] = ()
    endpoint: str = ""

    @property
    def is_continuous(self) -> bool:
        """Return whether each commit can change it."""
        return self.kind in (DatasetKind.CURRENT, DatasetKind.SOURCE)


class Catalog(NamedTuple):
    """The datasets: the current data, the releases (newest first), then the registries by
    name; *contact* is the e-mail address of the operators, "" if there is none.
    """

    datasets: tuple[Dataset, ...]
    contact: str

    def by_kind(self, kind: DatasetKind) -> list[Dataset]:
        return [dataset for dataset in self.datasets if dataset.kind is kind]


async def load_catalog(service: QueryService, request: Request) -> Catalog:
    """Return all datasets of this installation. Those of a demo installation say in their titles
    that the data are made up.
    """
    first, version = service.journal.entry(1), service.published
    started = f"{first.time:%Y-%m-%dT%H:%M:%SZ}" if first else "1970-01-01T00:00:00Z"
    shares = await _shares(service, started)
    licences = {share.licence for share in shares}
    licence = licences.pop() if len(licences) == 1 else None
    origin = read_origin(service.journal.folder)
    current = Dataset(
        kind=DatasetKind.CURRENT,
        name="wsis-stocktaking",
        iri=f"{service.iris.base}.well-known/void#dataset",
        title=NAME,
        about=ABOUT,
        page=service.iris.base,
        issued=started,
        modified=(version.time if version else None) or started,
        distributions=(
            _endpoint(service.iris),
            Distribution(
                "journal",
                "Journal: all changes as RDF Patch",
                f"{service.iris.base}journal/",
                "application/rdf-patch",
            ),
        ),
        coverage_start=started,
        licence=licence,
        sources=(
            *(share.page for share in shares),
            *([origin.url] if origin else []),
        ),
    )
    available = await asyncio.to_thread(list_releases, service.data / "releases")
    releases = [
        release_dataset(release, service.iris, started)
        for release in available
        if not release.withdrawn
    ]
    datasets: Iterable[Dataset] = (current, *releases, *shares)
    if getattr(request.app.state, "demo", False):
        datasets = map(_mark_demo, datasets)
    contact = str(getattr(request.app.state, "contact", "")).removeprefix("mailto:")
    return Catalog(tuple(datasets), contact if _MAIL.match(contact) else "")


def _mark_demo(dataset: Dataset) -> Dataset:
    if dataset.title.startswith(DEMO_PREFIX):
        return dataset
    title, about = DEMO_PREFIX + dataset.title, f"{DEMO_NOTE} {dataset.about}"
    return replace(dataset, title=title, about=about)


async def _shares(service: QueryService, started: str) -> list[Dataset]:
    statuses, counts = await source_statuses(service), await service.rows(query("source-counts"))
    records = {row["source"].value: int(row["records"].value) for row in counts}
    rows: dict[str, Row] = {}
    for row in await service.rows(query("registries")):
        rows.setdefault(row["source"].value, row)
    return [
        _share(row, records.get(iri, 0), statuses, service.iris, started)
        for iri, row in rows.items()
    ]


def _share(
    row: Row, records: int, statuses: dict[str, SourceStatus], iris: Iris, started: str
) -> Dataset:
    values = {key: term.value for key, term in row.items()}
    source, title, licence = values["source"], values["title"], values.get("licence", "")
    name = source.removeprefix(iris.source(""))
    status = statuses[name].properties if name in statuses else {}
    # The status counts without deleted records.
    published = int(status.get("publishedRecords", records))
    text = quote(query("share").replace("<source>", f"<{source}>"), safe="")
    return Dataset(
        kind=DatasetKind.SOURCE,
        name=f"wsis-stocktaking-source-{name}"[:100],
        iri=f"{source}#records",
        title=title,
        about=(
            f"What {title} publishes, harvested and translated: {published} records, "
            "by WSIS action line and Sustainable Development Goal."
        ),
        page=source,
        issued=started,
        modified=status.get("lastChange") or status.get("lastSuccess") or started,
        distributions=(
            Distribution(
                "csv",
                "Its records as CSV",
                f"{iris.base}sparql?query={text}&format=csv",
                "text/csv",
                is_download=True,
            ),
            Distribution(
                "json",
                "Its records as JSON, a page at a time",
                f"{iris.base}things.json?source={name}",
                "application/json",
                is_download=True,
            ),
            _endpoint(iris),
        ),
        coverage_start=started,
        publisher=values.get("publisher") or title,
        licence=licence if is_web(licence) else None,
        sources=(source,),
        endpoint=values.get("endpoint", ""),
    )


def _endpoint(iris: Iris) -> Distribution:
    media = "application/sparql-results+json"
    return Distribution("sparql", "SPARQL endpoint", f"{iris.base}sparql", media)


def release_dataset(release: Release, iris: Iris, started: str = "") -> Dataset:
    """Return a release as a dataset. *started* is the time of the first journal entry, "" to leave
    it out.
    """
    page = f"{iris.base}releases/{release.number}/"
    licences = [licence for licence in metadata.licences(release) if is_web(licence)]
    return Dataset(
        kind=DatasetKind.RELEASE,
        name=f"wsis-stocktaking-release-{release.number}",
        iri=release.iri,
        title=metadata.title(release),
        about=f"{metadata.abstract(release)} A snapshot of the whole database of {release.day}, after journal entry {release.position}.",
        page=page,
        issued=release.issued,
        modified=release.issued,
        distributions=tuple(
            Distribution(
                file.name,
                file.says or file.name,
                page + file.name,
                file.media,
                _GZIP if file.name.endswith(".gz") else "",
                is_download=True,
                bytes=file.bytes,
                sha256=file.sha256,
            )
            for file in ([] if release.withdrawn else release.files)
        ),
        coverage_start=started,
        licence=licences[0] if len(licences) == 1 else None,
        version=str(release.number),
        previous=iris.release(release.previous) if release.previous is not None else None,
        sources=tuple(iris.source(source.name) for source in release.sources),
    )


class Service(NamedTuple):
    """A service: *path* is its URL path, *description_path* that of its description, *standards*
    are those that it implements.
    """

    path: str
    title: str
    about: str
    description_path: str
    standards: tuple[str, ...]


SERVICES = (
    Service(
        "sparql",
        "SPARQL endpoint",
        "Query current data and each stored release with SPARQL 1.1.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-protocol/", "https://www.w3.org/TR/sparql11-query/"),
    ),
    Service(
        "oai",
        "OAI-PMH repository",
        "All records, including removed ones, for harvesters that use OAI-PMH 2.0.",
        "oai?verb=Identify",
        ("http://www.openarchives.org/OAI/openarchivesprotocol.html",),
    ),
    Service(
        "ldes",
        "Linked data event stream",
        "All changes of records as versions, in a linked data event stream.",
        "ldes",
        ("https://w3id.org/ldes/specification", "https://w3id.org/tree/specification"),
    ),
    Service(
        "feeds/all.atom",
        "Atom feed",
        "Latest updates of records as Atom, with archives of all earlier ones and feeds by action line, goal, country and registry.",
        "feeds/all.atom",
        ("https://www.rfc-editor.org/rfc/rfc4287", "https://www.rfc-editor.org/rfc/rfc5005"),
    ),
    Service(
        "activities",
        "Activities",
        "All changes of records as an ActivityStreams 2 collection.",
        "activities",
        ("https://www.w3.org/TR/activitystreams-core/",),
    ),
    Service(
        "feeds/events.ics",
        "Calendar",
        "Subscribe to all events with a calendar application (iCalendar).",
        "feeds/events.ics",
        ("https://www.rfc-editor.org/rfc/rfc5545",),
    ),
    Service(
        "things.json",
        "JSON API",
        "Search, items, lists and changes as JSON, described by OpenAPI.",
        "openapi.json",
        ("https://spec.openapis.org/oas/v3.1.0",),
    ),
    Service(
        "journal/",
        "Journal",
        "Every change ever published, in order, as hash-chained RDF Patches.",
        "journal/head",
        ("https://afs.github.io/rdf-delta/rdf-patch.html",),
    ),
    Service(
        "rdf-graph-store",
        "Graph store",
        "Read the graph of each record with the SPARQL 1.1 Graph Store HTTP Protocol.",
        "sparql",
        ("https://www.w3.org/TR/sparql11-http-rdf-update/",),
    ),
    Service(
        "api/3/action/package_search",
        "CKAN Action API",
        "The datasets of this catalogue as a CKAN portal lists them.",
        "api/3/action/package_list",
        ("https://docs.ckan.org/en/latest/api/",),
    ),
)
