"""Describe datasets, registries and services as a DCAT-AP 3 catalogue.

Sources: https://semiceu.github.io/DCAT-AP/releases/3.0.0/, https://www.w3.org/TR/vocab-dcat-3/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from publisher.linked_data.catalog.dataset import (
    KEYWORDS,
    TITLE,
    Catalog,
    CatalogSource,
    Dataset,
    DatasetKind,
    Distribution,
)
from publisher.linked_data.catalog.ranges import AUTHORITY, DCATAP, with_types
from publisher.linked_data.catalog.services import Service
from publisher.rdf.results import Term
from publisher.store.descriptions import Statement
from vocab.countries import AREA
from vocab.iris import is_web
from vocab.terms import DCAT, DCT, FOAF, PROV, RDF, SKOS, SPDX, VCARD, XSD

_THEME = f"{AUTHORITY}data-theme/TECH"
_STABLE = f"{AUTHORITY}planned-availability/STABLE"
_ENGLISH = f"{AUTHORITY}language/ENG"
_CONTINUOUS = f"{AUTHORITY}frequency/UPDATE_CONT"
_WORLD = f"{AREA}001"
_IANA = "https://www.iana.org/assignments/media-types/"
_FILE_TYPES = {
    "application/n-quads": "RDF_N_QUADS",
    "application/n-triples": "RDF_N_TRIPLES",
    "text/turtle": "RDF_TURTLE",
    "application/ld+json": "JSON_LD",
    "application/json": "JSON",
    "text/csv": "CSV",
    "application/vnd.apache.parquet": "PARQUET",
}
_ABOUT = "What is published here: all of it as it is now, its releases, each registry's share, and the ways to ask for them."


def catalog_statements(
    catalog: Catalog, services: Iterable[Service], base: str
) -> tuple[Statement, ...]:
    """Yield the catalog of all data sets under *base* as a ``dcat:Catalog``."""
    return _deduplicate(_catalogue(catalog, list(services), base))


def dataset_statements(dataset: Dataset, base: str, contact: str = "") -> tuple[Statement, ...]:
    """Yield one data set as a ``dcat:Dataset``."""
    return _deduplicate(_dataset(dataset, base, contact))


def _deduplicate(statements: Iterator[Statement]) -> tuple[Statement, ...]:
    """Return each statement once, those of one subject together."""
    return tuple(
        sorted(dict.fromkeys(with_types(statements)), key=lambda statement: statement.subject)
    )


def _catalogue(catalog: Catalog, services: list[Service], base: str) -> Iterator[Statement]:
    iri, current = f"{base}catalog", catalog.current
    yield from _labelled(iri, "Catalog", f"Catalogue of {TITLE}", _ABOUT)
    yield from _publisher(iri, f"{iri}#publisher", TITLE)
    yield from _dates(iri, current.issued, max(dataset.modified for dataset in catalog.all))
    yield Statement(iri, f"{FOAF}homepage", Term(base))
    yield Statement(iri, f"{DCT}language", Term(_ENGLISH))
    yield Statement(iri, f"{DCT}spatial", Term(_WORLD))
    yield Statement(iri, f"{DCAT}themeTaxonomy", Term(f"{AUTHORITY}data-theme"))
    yield Statement(f"{AUTHORITY}data-theme", f"{DCT}title", _english("Data theme"))
    if current.licence:
        yield Statement(iri, f"{DCT}license", Term(current.licence))
    for dataset in catalog.all:
        yield Statement(iri, f"{DCAT}dataset", Term(dataset.iri))
        yield from _dataset(dataset, base, catalog.contact)
    for service in services:
        yield Statement(iri, f"{DCAT}service", Term(base + service.path))
        yield from _service(service, current, base, catalog.contact)
    for source, source_dataset in zip(catalog.sources, catalog.source_datasets, strict=True):
        yield Statement(iri, f"{DCAT}catalog", Term(source.iri))
        yield from _registry(source, source_dataset)
    if catalog.releases:
        yield from _series(catalog.releases, base, catalog.contact)


def _dataset(dataset: Dataset, base: str, contact: str) -> Iterator[Statement]:
    yield from _labelled(dataset.iri, "Dataset", dataset.title, dataset.about)
    yield from _publisher(
        dataset.iri,
        f"{dataset.sources[0]}#publisher"
        if dataset.kind is DatasetKind.SOURCE
        else f"{base}catalog#publisher",
        dataset.publisher,
    )
    yield from _dates(dataset.iri, dataset.issued, dataset.modified)
    yield from _keywords_and_contact(dataset.iri, base, contact)
    yield Statement(dataset.iri, f"{DCT}identifier", _text(dataset.iri))
    yield Statement(dataset.iri, f"{DCAT}landingPage", Term(dataset.page))
    yield Statement(dataset.iri, f"{DCT}language", Term(_ENGLISH))
    yield Statement(dataset.iri, f"{DCT}spatial", Term(_WORLD))
    yield from _temporal(dataset, base)
    for source in dataset.sources:
        yield Statement(dataset.iri, f"{PROV}wasDerivedFrom", Term(source))
    for distribution in dataset.distributions:
        if distribution.is_download or dataset.kind is DatasetKind.CURRENT:
            yield Statement(
                dataset.iri, f"{DCAT}distribution", Term(_distribution_iri(dataset, distribution))
            )
            yield from _distribution(dataset, distribution, base)


def _temporal(dataset: Dataset, base: str) -> Iterator[Statement]:
    if dataset.coverage_start:
        yield Statement(
            dataset.iri,
            f"{DCT}temporal",
            Term(f"{dataset.iri.partition('#')[0]}#period-{dataset.name}"),
        )
        yield Statement(
            f"{dataset.iri.partition('#')[0]}#period-{dataset.name}",
            f"{DCAT}startDate",
            _time(dataset.coverage_start),
        )
        if dataset.kind in (DatasetKind.RELEASE, DatasetKind.DUMP):
            yield Statement(
                f"{dataset.iri.partition('#')[0]}#period-{dataset.name}",
                f"{DCAT}endDate",
                _time(dataset.issued),
            )
    if dataset.kind in (DatasetKind.CURRENT, DatasetKind.SOURCE):
        yield Statement(dataset.iri, f"{DCT}accrualPeriodicity", Term(_CONTINUOUS))
    if dataset.version:
        yield Statement(dataset.iri, f"{DCAT}version", _text(dataset.version))
    if dataset.kind is DatasetKind.RELEASE:
        yield Statement(dataset.iri, f"{DCAT}inSeries", Term(f"{base}releases/"))
        yield Statement(f"{base}releases/", f"{DCT}title", _english(f"Releases of {TITLE}"))
        yield Statement(
            f"{base}releases/",
            f"{DCT}description",
            _english("Numbered, signed snapshots of the whole database that never change."),
        )
    if dataset.previous:
        yield Statement(dataset.iri, f"{DCAT}previousVersion", Term(dataset.previous))
        yield Statement(dataset.iri, f"{DCAT}prev", Term(dataset.previous))


def _distribution(dataset: Dataset, distribution: Distribution, base: str) -> Iterator[Statement]:
    distribution_iri = _distribution_iri(dataset, distribution)
    yield Statement(distribution_iri, f"{DCT}title", _english(distribution.name))
    yield Statement(distribution_iri, f"{DCT}description", _english(distribution.title))
    yield Statement(distribution_iri, f"{DCAT}accessURL", Term(distribution.url))
    yield Statement(distribution_iri, f"{DCAT}mediaType", Term(_IANA + distribution.media))
    if distribution.media in _FILE_TYPES:
        yield Statement(
            distribution_iri,
            f"{DCT}format",
            Term(f"{AUTHORITY}file-type/{_FILE_TYPES[distribution.media]}"),
        )
    if dataset.licence:
        yield Statement(distribution_iri, f"{DCT}license", Term(dataset.licence))
    if distribution.is_download:
        yield Statement(distribution_iri, f"{DCAT}downloadURL", Term(distribution.url))
    else:
        yield Statement(distribution_iri, f"{DCAT}accessService", Term(distribution.url))
    if distribution.compression:
        yield Statement(
            distribution_iri, f"{DCAT}compressFormat", Term(_IANA + distribution.compression)
        )
    if distribution.bytes is not None:
        yield Statement(
            distribution_iri,
            f"{DCAT}byteSize",
            Term(str(distribution.bytes), "literal", None, f"{XSD}nonNegativeInteger"),
        )
    if dataset.kind is DatasetKind.RELEASE:
        yield Statement(distribution_iri, f"{DCATAP}availability", Term(_STABLE))
        yield Statement(_STABLE, f"{SKOS}prefLabel", _english("stable"))
    if distribution.sha256:
        yield Statement(distribution_iri, f"{SPDX}checksum", Term(f"{distribution_iri}#sha256"))
        yield Statement(
            f"{distribution_iri}#sha256",
            f"{SPDX}algorithm",
            Term(f"{SPDX}checksumAlgorithm_sha256"),
        )
        yield Statement(
            f"{distribution_iri}#sha256",
            f"{SPDX}checksumValue",
            Term(distribution.sha256, "literal", None, f"{XSD}hexBinary"),
        )


def _distribution_iri(dataset: Dataset, distribution: Distribution) -> str:
    """Return the IRI of a distribution: a file's own URL, otherwise an IRI below its dataset."""
    return (
        distribution.url
        if distribution.sha256
        else f"{dataset.iri.partition('#')[0]}#{dataset.name}-{distribution.name}"
    )


def _service(service: Service, current: Dataset, base: str, contact: str) -> Iterator[Statement]:
    iri = base + service.path
    yield from _labelled(iri, "DataService", service.title, service.about)
    yield from _publisher(iri, f"{base}catalog#publisher", TITLE)
    yield from _keywords_and_contact(iri, base, contact)
    yield Statement(iri, f"{DCAT}endpointURL", Term(iri))
    yield Statement(iri, f"{DCAT}endpointDescription", Term(base + service.description_path))
    yield Statement(iri, f"{DCAT}servesDataset", Term(current.iri))
    for standard in service.standards:
        yield Statement(iri, f"{DCT}conformsTo", Term(standard))


def _registry(source: CatalogSource, source_dataset: Dataset) -> Iterator[Statement]:
    """Describe a registry as a catalogue of its own, with its dataset and its data service."""
    yield from _labelled(source.iri, "Catalog", source.title, source_dataset.about)
    yield from _publisher(source.iri, f"{source.iri}#publisher", source_dataset.publisher)
    yield from _dates(source.iri, source_dataset.issued, source_dataset.modified)
    yield Statement(source.iri, f"{DCAT}dataset", Term(source_dataset.iri))
    if source.licence:
        yield Statement(source.iri, f"{DCT}license", Term(source.licence))
    if source.endpoint and is_web(source.endpoint):
        service = f"{source.iri}#service"
        yield Statement(source.iri, f"{DCAT}service", Term(service))
        yield from _labelled(
            service,
            "DataService",
            f"{source.title}: where it is harvested",
            "The registry's own interface.",
        )
        yield Statement(service, f"{DCAT}endpointURL", Term(source.endpoint))


def _series(releases: tuple[Dataset, ...], base: str, contact: str) -> Iterator[Statement]:
    iri = f"{base}releases/"
    yield from _publisher(iri, f"{base}catalog#publisher", TITLE)
    yield from _dates(iri, releases[-1].issued, releases[0].issued)
    if contact:
        yield Statement(iri, f"{DCAT}contactPoint", Term(f"{base}catalog#contact"))
    yield Statement(iri, f"{DCAT}first", Term(releases[-1].iri))
    yield Statement(iri, f"{DCAT}last", Term(releases[0].iri))


def _labelled(iri: str, kind: str, title: str, about: str) -> Iterator[Statement]:
    yield Statement(iri, f"{RDF}type", Term(DCAT + kind))
    yield Statement(iri, f"{DCT}title", _english(title))
    yield Statement(iri, f"{DCT}description", _english(about))


def _publisher(iri: str, agent: str, name: str) -> Iterator[Statement]:
    yield Statement(iri, f"{DCT}publisher", Term(agent))
    yield Statement(agent, f"{FOAF}name", _text(name))


def _dates(iri: str, issued: str, modified: str) -> Iterator[Statement]:
    yield Statement(iri, f"{DCT}issued", _time(issued))
    yield Statement(iri, f"{DCT}modified", _time(modified))


def _keywords_and_contact(iri: str, base: str, contact: str) -> Iterator[Statement]:
    """Describe the keywords and the contact of a resource."""
    yield Statement(iri, f"{DCAT}theme", Term(_THEME))
    yield Statement(_THEME, f"{SKOS}prefLabel", _english("Science and technology"))
    yield from (Statement(iri, f"{DCAT}keyword", _english(word)) for word in KEYWORDS)
    if contact:
        yield Statement(iri, f"{DCAT}contactPoint", Term(f"{base}catalog#contact"))
        yield Statement(f"{base}catalog#contact", f"{VCARD}fn", _text(TITLE))
        yield Statement(f"{base}catalog#contact", f"{VCARD}hasEmail", Term(f"mailto:{contact}"))


def _text(value: str) -> Term:
    return Term(value, "literal")


def _english(value: str) -> Term:
    return Term(value, "literal", "en")


def _time(value: str) -> Term:
    return Term(value, "literal", None, f"{XSD}dateTime")
