"""Markup: a holding in the words of schema.org, for search engines of data sets.

Source: https://developers.google.com/search/docs/appearance/structured-data/dataset
"""

from __future__ import annotations

from publisher.catalog.dataset import KEYWORDS, TITLE, Dataset, Distribution

Json = dict[str, object]


def dataset_markup(it: Dataset) -> Json:
    """Tell of a holding as a data set with its downloads."""
    told: Json = {
        "@type": "Dataset",
        "@id": it.iri,
        "identifier": it.iri,
        "name": it.title,
        "description": it.about,
        "url": it.page,
        "datePublished": it.issued,
        "dateModified": it.modified,
        "version": it.version,
        "license": it.licence,
        "keywords": list(KEYWORDS),
        "isAccessibleForFree": True,
        "creator": {"@type": "Organization", "name": TITLE},
        "isBasedOn": list(it.sources),
        "distribution": [_download(copy) for copy in it.copies if copy.file],
    }
    return {key: value for key, value in told.items() if value}


def _download(it: Distribution) -> Json:
    told: Json = {"@type": "DataDownload", "name": it.name, "contentUrl": it.url, "encodingFormat": it.packed or it.media}
    return told | ({"contentSize": f"{it.bytes} B", "sha256": it.sha256} if it.bytes is not None else {})
