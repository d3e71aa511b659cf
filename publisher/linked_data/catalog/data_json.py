"""Serialize datasets as data.json, by the Project Open Data Metadata Schema 1.1.

Source: https://resources.data.gov/resources/dcat-us/ (which is the same schema under its later
name).
"""

from __future__ import annotations

from publisher.linked_data.catalog.dataset import (
    KEYWORDS,
    TITLE,
    Catalog,
    Dataset,
    DatasetKind,
    Distribution,
)

Json = dict[str, object]

SCHEMA = "https://project-open-data.cio.gov/v1.1/schema"


def data_json(catalog: Catalog, base: str) -> Json:
    """Return all data sets; one without an e-mail address has the page of its contact instead."""
    return {
        "@context": f"{SCHEMA}/catalog.jsonld",
        "@id": f"{base}data.json",
        "@type": "dcat:Catalog",
        "conformsTo": SCHEMA,
        "describedBy": f"{SCHEMA}/catalog.json",
        "dataset": [_dataset(dataset, catalog.contact) for dataset in catalog.all],
    }


def _dataset(dataset: Dataset, contact: str) -> Json:
    document: Json = {
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
            "fn": TITLE,
            **({"hasEmail": f"mailto:{contact}"} if contact else {}),
        },
        "accessLevel": "public",
        "language": ["en"],
        "landingPage": dataset.page,
        "distribution": [_distribution(copy) for copy in dataset.distributions],
    }
    document |= {"license": dataset.licence} if dataset.licence else {}
    if dataset.coverage_start:
        end = (
            dataset.issued
            if dataset.kind in (DatasetKind.RELEASE, DatasetKind.DUMP)
            else dataset.modified
        )
        document["temporal"] = f"{dataset.coverage_start}/{end}"
    return document | (
        {"accrualPeriodicity": "R/PT1S"}
        if dataset.kind in (DatasetKind.CURRENT, DatasetKind.SOURCE)
        else {"accrualPeriodicity": "irregular"}
    )


def _distribution(distribution: Distribution) -> Json:
    document: Json = {
        "@type": "dcat:Distribution",
        "title": distribution.name,
        "description": distribution.title,
    }
    if distribution.is_download:
        return document | {
            "downloadURL": distribution.url,
            "mediaType": distribution.compression or distribution.media,
        }
    return document | {"accessURL": distribution.url, "format": "API"}
