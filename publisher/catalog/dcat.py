"""Describe datasets, registries and services as a DCAT-AP 3 catalogue.

Sources: https://semiceu.github.io/DCAT-AP/releases/3.0.0/, https://www.w3.org/TR/vocab-dcat-3/.
"""

from __future__ import annotations

from publisher.catalog.datasets import (
    KEYWORDS,
    SERVICES,
    Catalog,
    Dataset,
    DatasetKind,
    Distribution,
    Service,
)
from publisher.rdf import Term, text_term, typed_term
from publisher.releases.metadata import DEMO_PREFIX
from publisher.store.descriptions import Node, Statement, node_statements
from vocab.iris import is_web
from vocab.lookup import AREA
from vocab.terms import DCAT, DCT, FOAF, RDF, SKOS, SPDX, VCARD
from web.branding import NAME

DCATAP = "http://data.europa.eu/r5r/"
AUTHORITY = "http://publications.europa.eu/resource/authority/"
_ENGLISH = f"{AUTHORITY}language/ENG"
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
# The classes that DCAT-AP requires of what a property points to.
_RANGES = {
    f"{DCT}publisher": f"{FOAF}Agent",
    f"{DCT}license": f"{DCT}LicenseDocument",
    f"{DCT}language": f"{DCT}LinguisticSystem",
    f"{DCT}format": f"{DCT}MediaTypeOrExtent",
    f"{DCT}conformsTo": f"{DCT}Standard",
    f"{DCT}spatial": f"{DCT}Location",
    f"{DCT}temporal": f"{DCT}PeriodOfTime",
    f"{DCT}accrualPeriodicity": f"{DCT}Frequency",
    f"{FOAF}homepage": f"{FOAF}Document",
    f"{DCAT}landingPage": f"{FOAF}Document",
    f"{DCAT}mediaType": f"{DCT}MediaType",
    f"{DCAT}compressFormat": f"{DCT}MediaType",
    f"{DCAT}theme": f"{SKOS}Concept",
    f"{DCAT}themeTaxonomy": f"{SKOS}ConceptScheme",
    f"{DCAT}distribution": f"{DCAT}Distribution",
    f"{DCAT}accessService": f"{DCAT}DataService",
    f"{DCAT}inSeries": f"{DCAT}DatasetSeries",
    f"{DCAT}contactPoint": f"{VCARD}Kind",
    f"{DCATAP}availability": f"{SKOS}Concept",
    f"{SPDX}checksum": f"{SPDX}Checksum",
    f"{SPDX}algorithm": f"{SPDX}ChecksumAlgorithm",
}


def catalog_statements(catalog: Catalog, base: str) -> tuple[Statement, ...]:
    """Return the catalog of all datasets under *base* as a ``dcat:Catalog``."""
    iri, current = f"{base}catalog", catalog.datasets[0]
    releases = catalog.by_kind(DatasetKind.RELEASE)
    latest = max(dataset.modified for dataset in catalog.datasets)
    themes = {"@id": f"{AUTHORITY}data-theme", "dct:title": text_term("Data theme", "en")}
    node = {
        **_resource(iri, "Catalog", f"Catalogue of {NAME}", _ABOUT),
        **_published(f"{iri}#publisher", NAME, current.issued, latest),
        "foaf:homepage": base,
        "dct:language": _ENGLISH,
        "dct:spatial": _WORLD,
        "dcat:themeTaxonomy": themes,
        "dct:license": current.licence,
        "dcat:dataset": [_dataset(dataset, base, catalog.contact) for dataset in catalog.datasets],
        "dcat:service": [_service(service, current, base, catalog.contact) for service in SERVICES],
        "dcat:catalog": [_registry(dataset) for dataset in catalog.by_kind(DatasetKind.SOURCE)],
    }
    series = (
        {
            "@id": f"{base}releases/",
            **_published(f"{iri}#publisher", NAME, releases[-1].issued, releases[0].issued),
            "dcat:contactPoint": f"{iri}#contact" if catalog.contact else None,
            "dcat:first": releases[-1].iri,
            "dcat:last": releases[0].iri,
        }
        if releases
        else None
    )
    return _typed(node, *([series] if series else []))


def dataset_statements(dataset: Dataset, base: str) -> tuple[Statement, ...]:
    return _typed(_dataset(dataset, base, ""))


def _typed(*nodes: Node) -> tuple[Statement, ...]:
    """Return the statements of *nodes* and the classes of the resources that they point to, each
    once, those of one subject together; of a code of the European Union also its list.
    """
    statements: dict[Statement, None] = {}
    for statement in (statement for node in nodes for statement in node_statements(node)):
        statements[statement] = None
        if (kind := _RANGES.get(statement.predicate)) is None:
            continue
        target = statement.object.value
        statements[Statement(target, f"{RDF}type", Term(kind))] = None
        scheme, _, code = target.removeprefix(AUTHORITY).partition("/")
        if code and target.startswith(AUTHORITY):
            statements[Statement(target, f"{SKOS}inScheme", Term(AUTHORITY + scheme))] = None
    return tuple(sorted(statements, key=lambda statement: statement.subject))


def _dataset(dataset: Dataset, base: str, contact: str) -> Node:
    is_source, document = dataset.kind is DatasetKind.SOURCE, dataset.iri.partition("#")[0]
    agent = f"{dataset.sources[0]}#publisher" if is_source else f"{base}catalog#publisher"
    period = {
        "@id": f"{document}#period-{dataset.name}",
        "dcat:startDate": typed_term(dataset.coverage_start, "dateTime"),
        "dcat:endDate": None if dataset.is_continuous else typed_term(dataset.issued, "dateTime"),
    }
    series = {
        "@id": f"{base}releases/",
        "dct:title": text_term(f"Releases of {NAME}", "en"),
        "dct:description": text_term(
            "Numbered, signed snapshots of the whole database that never change.", "en"
        ),
    }
    return {
        **_resource(dataset.iri, "Dataset", dataset.title, dataset.about),
        **_published(agent, dataset.publisher, dataset.issued, dataset.modified),
        **_subjects(base, contact),
        "dct:identifier": text_term(dataset.iri),
        "dcat:landingPage": dataset.page,
        "dct:language": _ENGLISH,
        "dct:spatial": _WORLD,
        "dct:temporal": period if dataset.coverage_start else None,
        "dct:accrualPeriodicity": (
            f"{AUTHORITY}frequency/UPDATE_CONT" if dataset.is_continuous else None
        ),
        "dcat:version": text_term(dataset.version) if dataset.version else None,
        "dcat:inSeries": series if dataset.kind is DatasetKind.RELEASE else None,
        "dcat:previousVersion": dataset.previous,
        "dcat:prev": dataset.previous,
        "prov:wasDerivedFrom": dataset.sources,
        "dcat:distribution": [
            _distribution(dataset, distribution, document)
            for distribution in dataset.distributions
            if distribution.is_download or dataset.kind is DatasetKind.CURRENT
        ],
    }


def _distribution(dataset: Dataset, distribution: Distribution, document: str) -> Node:
    """Describe a distribution: its IRI is the URL of a stored file, else below that of its dataset."""
    name = f"{document}#{dataset.name}-{distribution.name}"
    iri = distribution.url if distribution.sha256 else name
    file_type = _FILE_TYPES.get(distribution.media)
    size = typed_term(distribution.bytes, "nonNegativeInteger")
    stable = {
        "@id": f"{AUTHORITY}planned-availability/STABLE",
        "skos:prefLabel": text_term("stable", "en"),
    }
    checksum = {
        "@id": f"{iri}#sha256",
        "spdx:algorithm": f"{SPDX}checksumAlgorithm_sha256",
        "spdx:checksumValue": typed_term(distribution.sha256, "hexBinary"),
    }
    return {
        "@id": iri,
        "dct:title": text_term(distribution.name, "en"),
        "dct:description": text_term(distribution.title, "en"),
        "dcat:accessURL": distribution.url,
        "dcat:mediaType": _IANA + distribution.media,
        "dct:format": f"{AUTHORITY}file-type/{file_type}" if file_type else None,
        "dct:license": dataset.licence,
        "dcat:downloadURL" if distribution.is_download else "dcat:accessService": distribution.url,
        "dcat:compressFormat": distribution.compression and _IANA + distribution.compression,
        "dcat:byteSize": None if distribution.bytes is None else size,
        f"{DCATAP}availability": stable if dataset.kind is DatasetKind.RELEASE else None,
        "spdx:checksum": checksum if distribution.sha256 else None,
    }


def _service(service: Service, current: Dataset, base: str, contact: str) -> Node:
    iri = base + service.path
    return {
        **_resource(iri, "DataService", service.title, service.about),
        "dct:publisher": {"@id": f"{base}catalog#publisher", "foaf:name": text_term(NAME)},
        **_subjects(base, contact),
        "dcat:endpointURL": iri,
        "dcat:endpointDescription": base + service.description_path,
        "dcat:servesDataset": current.iri,
        "dct:conformsTo": service.standards,
    }


def _registry(dataset: Dataset) -> Node:
    """Describe a registry as a catalogue of its own, with its dataset and its data service."""
    iri, title = dataset.sources[0], dataset.title.removeprefix(DEMO_PREFIX)
    where = f"{title}: where it is harvested"
    service = {
        **_resource(f"{iri}#service", "DataService", where, "The registry's own interface."),
        "dcat:endpointURL": dataset.endpoint,
    }
    return {
        **_resource(iri, "Catalog", title, dataset.about),
        **_published(f"{iri}#publisher", dataset.publisher, dataset.issued, dataset.modified),
        "dcat:dataset": dataset.iri,
        "dct:license": dataset.licence,
        "dcat:service": service if is_web(dataset.endpoint) else None,
    }


def _resource(iri: str, kind: str, title: str, about: str) -> Node:
    return {
        "@id": iri,
        "rdf:type": DCAT + kind,
        "dct:title": text_term(title, "en"),
        "dct:description": text_term(about, "en"),
    }


def _published(agent: str, name: str, issued: str, modified: str) -> Node:
    return {
        "dct:publisher": {"@id": agent, "foaf:name": text_term(name)},
        "dct:issued": typed_term(issued, "dateTime"),
        "dct:modified": typed_term(modified, "dateTime"),
    }


def _subjects(base: str, contact: str) -> Node:
    theme = f"{AUTHORITY}data-theme/TECH"
    card = {
        "@id": f"{base}catalog#contact",
        "vcard:fn": text_term(NAME),
        "vcard:hasEmail": f"mailto:{contact}",
    }
    return {
        "dcat:theme": {"@id": theme, "skos:prefLabel": text_term("Science and technology", "en")},
        "dcat:keyword": [text_term(word, "en") for word in KEYWORDS],
        "dcat:contactPoint": card if contact else None,
    }
