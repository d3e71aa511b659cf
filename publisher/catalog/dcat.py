"""DCAT: holdings, registries and services as a catalogue by DCAT-AP 3.

Sources: https://semiceu.github.io/DCAT-AP/releases/3.0.0/, https://www.w3.org/TR/vocab-dcat-3/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from publisher.catalog.dataset import KEYWORDS, TITLE, Catalog, CatalogSource, Dataset, DatasetKind, Distribution
from publisher.catalog.ranges import AUTHORITY, DCATAP, SPDX, VCARD, with_types
from publisher.catalog.services import Service
from publisher.rdf.results import Term
from publisher.store.descriptions import Statement
from vocab.countries import AREA
from vocab.iris import is_web
from vocab.terms import DCAT, DCT, FOAF, PROV, RDF, SKOS, XSD

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


def catalog_statements(it: Catalog, services: Iterable[Service], base: str) -> tuple[Statement, ...]:
    """Tell all that can be had under *base* as a ``dcat:Catalog``."""
    return _deduplicate(_catalogue(it, list(services), base))


def dataset_statements(it: Dataset, base: str, contact: str = "") -> tuple[Statement, ...]:
    """Tell one holding as a ``dcat:Dataset``."""
    return _deduplicate(_dataset(it, base, contact))


def _deduplicate(statements: Iterator[Statement]) -> tuple[Statement, ...]:
    """Give each statement once, those of one subject together."""
    return tuple(sorted(dict.fromkeys(with_types(statements)), key=lambda it: it.subject))


def _catalogue(it: Catalog, services: list[Service], base: str) -> Iterator[Statement]:
    iri, living = f"{base}catalog", it.living
    yield from _named(iri, "Catalog", f"Catalogue of {TITLE}", _ABOUT)
    yield from _published(iri, f"{iri}#publisher", TITLE)
    yield from _dated(iri, living.issued, max(one.modified for one in it.all))
    yield Statement(iri, f"{FOAF}homepage", Term(base))
    yield Statement(iri, f"{DCT}language", Term(_ENGLISH))
    yield Statement(iri, f"{DCT}spatial", Term(_WORLD))
    yield Statement(iri, f"{DCAT}themeTaxonomy", Term(f"{AUTHORITY}data-theme"))
    yield Statement(f"{AUTHORITY}data-theme", f"{DCT}title", _english("Data theme"))
    if living.licence:
        yield Statement(iri, f"{DCT}license", Term(living.licence))
    for one in it.all:
        yield Statement(iri, f"{DCAT}dataset", Term(one.iri))
        yield from _dataset(one, base, it.contact)
    for service in services:
        yield Statement(iri, f"{DCAT}service", Term(base + service.path))
        yield from _service(service, living, base, it.contact)
    for source, share in zip(it.sources, it.shares, strict=True):
        yield Statement(iri, f"{DCAT}catalog", Term(source.iri))
        yield from _registry(source, share)
    if it.releases:
        yield from _series(it.releases, base, it.contact)


def _dataset(it: Dataset, base: str, contact: str) -> Iterator[Statement]:
    yield from _named(it.iri, "Dataset", it.title, it.about)
    yield from _published(
        it.iri, f"{it.sources[0]}#publisher" if it.kind is DatasetKind.SHARE else f"{base}catalog#publisher", it.publisher
    )
    yield from _dated(it.iri, it.issued, it.modified)
    yield from _keywords_and_contact(it.iri, base, contact)
    yield Statement(it.iri, f"{DCT}identifier", _text(it.iri))
    yield Statement(it.iri, f"{DCAT}landingPage", Term(it.page))
    yield Statement(it.iri, f"{DCT}language", Term(_ENGLISH))
    yield Statement(it.iri, f"{DCT}spatial", Term(_WORLD))
    yield from _temporal(it, base)
    for source in it.sources:
        yield Statement(it.iri, f"{PROV}wasDerivedFrom", Term(source))
    for copy in it.copies:
        if copy.file or it.kind is DatasetKind.LIVING:
            yield Statement(it.iri, f"{DCAT}distribution", Term(_distribution_iri(it, copy)))
            yield from _distribution(it, copy, base)


def _temporal(it: Dataset, base: str) -> Iterator[Statement]:
    if it.since:
        yield Statement(it.iri, f"{DCT}temporal", Term(f"{it.iri.partition('#')[0]}#period-{it.name}"))
        yield Statement(f"{it.iri.partition('#')[0]}#period-{it.name}", f"{DCAT}startDate", _time(it.since))
        if it.kind in (DatasetKind.RELEASE, DatasetKind.DUMP):
            yield Statement(f"{it.iri.partition('#')[0]}#period-{it.name}", f"{DCAT}endDate", _time(it.issued))
    if it.kind in (DatasetKind.LIVING, DatasetKind.SHARE):
        yield Statement(it.iri, f"{DCT}accrualPeriodicity", Term(_CONTINUOUS))
    if it.version:
        yield Statement(it.iri, f"{DCAT}version", _text(it.version))
    if it.kind is DatasetKind.RELEASE:
        yield Statement(it.iri, f"{DCAT}inSeries", Term(f"{base}releases/"))
        yield Statement(f"{base}releases/", f"{DCT}title", _english(f"Releases of {TITLE}"))
        yield Statement(f"{base}releases/", f"{DCT}description", _english("Numbered, signed states of all that is published."))
    if it.previous:
        yield Statement(it.iri, f"{DCAT}previousVersion", Term(it.previous))
        yield Statement(it.iri, f"{DCAT}prev", Term(it.previous))


def _distribution(it: Dataset, copy: Distribution, base: str) -> Iterator[Statement]:
    way = _distribution_iri(it, copy)
    yield Statement(way, f"{DCT}title", _english(copy.name))
    yield Statement(way, f"{DCT}description", _english(copy.title))
    yield Statement(way, f"{DCAT}accessURL", Term(copy.url))
    yield Statement(way, f"{DCAT}mediaType", Term(_IANA + copy.media))
    if copy.media in _FILE_TYPES:
        yield Statement(way, f"{DCT}format", Term(f"{AUTHORITY}file-type/{_FILE_TYPES[copy.media]}"))
    if it.licence:
        yield Statement(way, f"{DCT}license", Term(it.licence))
    if copy.file:
        yield Statement(way, f"{DCAT}downloadURL", Term(copy.url))
    else:
        yield Statement(way, f"{DCAT}accessService", Term(copy.url))
    if copy.packed:
        yield Statement(way, f"{DCAT}compressFormat", Term(_IANA + copy.packed))
    if copy.bytes is not None:
        yield Statement(way, f"{DCAT}byteSize", Term(str(copy.bytes), "literal", None, f"{XSD}nonNegativeInteger"))
    if it.kind is DatasetKind.RELEASE:
        yield Statement(way, f"{DCATAP}availability", Term(_STABLE))
        yield Statement(_STABLE, f"{SKOS}prefLabel", _english("stable"))
    if copy.sha256:
        yield Statement(way, f"{SPDX}checksum", Term(f"{way}#sha256"))
        yield Statement(f"{way}#sha256", f"{SPDX}algorithm", Term(f"{SPDX}checksumAlgorithm_sha256"))
        yield Statement(f"{way}#sha256", f"{SPDX}checksumValue", Term(copy.sha256, "literal", None, f"{XSD}hexBinary"))


def _distribution_iri(it: Dataset, copy: Distribution) -> str:
    """Name a distribution: a file by its own address, any other under its holding."""
    return copy.url if copy.sha256 else f"{it.iri.partition('#')[0]}#{it.name}-{copy.name}"


def _service(it: Service, living: Dataset, base: str, contact: str) -> Iterator[Statement]:
    iri = base + it.path
    yield from _named(iri, "DataService", it.title, it.about)
    yield from _published(iri, f"{base}catalog#publisher", TITLE)
    yield from _keywords_and_contact(iri, base, contact)
    yield Statement(iri, f"{DCAT}endpointURL", Term(iri))
    yield Statement(iri, f"{DCAT}endpointDescription", Term(base + it.described))
    yield Statement(iri, f"{DCAT}servesDataset", Term(living.iri))
    for standard in it.standards:
        yield Statement(iri, f"{DCT}conformsTo", Term(standard))


def _registry(it: CatalogSource, share: Dataset) -> Iterator[Statement]:
    """Tell a registry as a catalogue of its own, with its share and where it is asked."""
    yield from _named(it.iri, "Catalog", it.title, share.about)
    yield from _published(it.iri, f"{it.iri}#publisher", share.publisher)
    yield from _dated(it.iri, share.issued, share.modified)
    yield Statement(it.iri, f"{DCAT}dataset", Term(share.iri))
    if it.licence:
        yield Statement(it.iri, f"{DCT}license", Term(it.licence))
    if it.endpoint and is_web(it.endpoint):
        service = f"{it.iri}#service"
        yield Statement(it.iri, f"{DCAT}service", Term(service))
        yield from _named(service, "DataService", f"{it.title}: where it is harvested", "The registry's own interface.")
        yield Statement(service, f"{DCAT}endpointURL", Term(it.endpoint))


def _series(releases: tuple[Dataset, ...], base: str, contact: str) -> Iterator[Statement]:
    iri = f"{base}releases/"
    yield from _published(iri, f"{base}catalog#publisher", TITLE)
    yield from _dated(iri, releases[-1].issued, releases[0].issued)
    if contact:
        yield Statement(iri, f"{DCAT}contactPoint", Term(f"{base}catalog#contact"))
    yield Statement(iri, f"{DCAT}first", Term(releases[-1].iri))
    yield Statement(iri, f"{DCAT}last", Term(releases[0].iri))


def _named(iri: str, kind: str, title: str, about: str) -> Iterator[Statement]:
    yield Statement(iri, f"{RDF}type", Term(DCAT + kind))
    yield Statement(iri, f"{DCT}title", _english(title))
    yield Statement(iri, f"{DCT}description", _english(about))


def _published(iri: str, agent: str, name: str) -> Iterator[Statement]:
    yield Statement(iri, f"{DCT}publisher", Term(agent))
    yield Statement(agent, f"{FOAF}name", _text(name))


def _dated(iri: str, issued: str, modified: str) -> Iterator[Statement]:
    yield Statement(iri, f"{DCT}issued", _time(issued))
    yield Statement(iri, f"{DCT}modified", _time(modified))


def _keywords_and_contact(iri: str, base: str, contact: str) -> Iterator[Statement]:
    """Tell by which words something is found and who answers for it."""
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
