"""Describe a dataset with schema.org terms, for dataset search engines.

Source: https://developers.google.com/search/docs/appearance/structured-data/dataset
"""

from __future__ import annotations

from publisher.linked_data.catalog.dataset import KEYWORDS, TITLE, Dataset, Distribution

Json = dict[str, object]


def dataset_markup(dataset: Dataset) -> Json:
    """Describe a dataset with its downloads."""
    markup: Json = {
        "@type": "Dataset",
        "@id": dataset.iri,
        "identifier": dataset.iri,
        "name": dataset.title,
        "description": dataset.about,
        "url": dataset.page,
        "datePublished": dataset.issued,
        "dateModified": dataset.modified,
        "version": dataset.version,
        "license": dataset.licence,
        "keywords": list(KEYWORDS),
        "isAccessibleForFree": True,
        "creator": {"@type": "Organization", "name": TITLE},
        "isBasedOn": list(dataset.sources),
        "distribution": [
            _download(distribution)
            for distribution in dataset.distributions
            if distribution.is_download
        ],
    }
    return {key: value for key, value in markup.items() if value}


def _download(distribution: Distribution) -> Json:
    markup: Json = {
        "@type": "DataDownload",
        "name": distribution.name,
        "contentUrl": distribution.url,
        "encodingFormat": distribution.compression or distribution.media,
    }
    return markup | (
        {"contentSize": f"{distribution.bytes} B", "sha256": distribution.sha256}
        if distribution.bytes is not None
        else {}
    )
