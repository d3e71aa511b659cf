"""POD: holdings as a data.json, by the Project Open Data Metadata Schema 1.1.

Source: https://resources.data.gov/resources/dcat-us/ (which is the same schema under its later name).
"""

from __future__ import annotations

from publisher.catalog.dataset import KEYWORDS, TITLE, Catalog, Dataset, DatasetKind, Distribution

Json = dict[str, object]

SCHEMA = "https://project-open-data.cio.gov/v1.1/schema"


def data_json(it: Catalog, base: str) -> Json:
    """Tell all holdings; one without an address of mail has its contact's page in its place."""
    return {
        "@context": f"{SCHEMA}/catalog.jsonld",
        "@id": f"{base}data.json",
        "@type": "dcat:Catalog",
        "conformsTo": SCHEMA,
        "describedBy": f"{SCHEMA}/catalog.json",
        "dataset": [_dataset(one, it.contact) for one in it.all],
    }


def _dataset(it: Dataset, contact: str) -> Json:
    told: Json = {
        "@type": "dcat:Dataset",
        "identifier": it.iri,
        "title": it.title,
        "description": it.about,
        "keyword": list(KEYWORDS),
        "issued": it.issued,
        "modified": it.modified,
        "publisher": {"@type": "org:Organization", "name": it.publisher},
        "contactPoint": {"@type": "vcard:Contact", "fn": TITLE, **({"hasEmail": f"mailto:{contact}"} if contact else {})},
        "accessLevel": "public",
        "language": ["en"],
        "landingPage": it.page,
        "distribution": [_distribution(copy) for copy in it.copies],
    }
    told |= {"license": it.licence} if it.licence else {}
    told |= (
        {"temporal": f"{it.since}/{it.issued if it.kind in (DatasetKind.RELEASE, DatasetKind.DUMP) else it.modified}"} if it.since else {}
    )
    return told | (
        {"accrualPeriodicity": "R/PT1S"} if it.kind in (DatasetKind.LIVING, DatasetKind.SHARE) else {"accrualPeriodicity": "irregular"}
    )


def _distribution(it: Distribution) -> Json:
    told: Json = {"@type": "dcat:Distribution", "title": it.name, "description": it.title}
    if it.file:
        return told | {"downloadURL": it.url, "mediaType": it.packed or it.media}
    return told | {"accessURL": it.url, "format": "API"}
