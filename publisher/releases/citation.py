"""Citations: who wants to cite a release finds its words here, for people, for Zenodo and for DataCite."""

from __future__ import annotations

import json

from publisher.store.releases.manifest import Release

NAME = "WSIS Stocktaking"
ABSTRACT = (
    "Initiatives for the information society, gathered from public registries and published as linked data by WSIS action line and "
    "Sustainable Development Goal."
)
DEMO_PREFIX = "Demonstration data: "  # before the titles of what a demo installation publishes
DEMO_NOTE = "Demonstration data: registries, projects and organizations are made up."
_WORDS = ("WSIS", "SDG", "digital development", "linked data")
# What the licences of sources are called in the list of SPDX and by Zenodo; others are told by their addresses.
_LICENCES = {
    "creativecommons.org/licenses/by/4.0": ("CC-BY-4.0", "cc-by-4.0"),
    "creativecommons.org/licenses/by-sa/4.0": ("CC-BY-SA-4.0", "cc-by-sa-4.0"),
    "creativecommons.org/publicdomain/zero/1.0": ("CC0-1.0", "cc-zero"),
}


def title(it: Release) -> str:
    """Return the title of a release."""
    return f"{DEMO_PREFIX if it.demo else ''}{NAME}, release {it.number}"


def abstract(it: Release) -> str:
    """Return the abstract of a release."""
    return f"{DEMO_NOTE} {ABSTRACT}" if it.demo else ABSTRACT


def licences(it: Release) -> list[str]:
    """List the licences of the sources."""
    return sorted({source.licence for source in it.sources if source.licence})


def _known(licence: str) -> tuple[str, str] | None:
    return _LICENCES.get(licence.removeprefix("https://").removeprefix("http://").removesuffix("deed.en").rstrip("/"))


def cff(it: Release) -> str:
    """Write CITATION.cff (https://github.com/citation-file-format/citation-file-format, 1.2.0); JSON is YAML."""
    spdx = [known[0] if (known := _known(licence)) else None for licence in licences(it)]
    told: dict[str, object] = {
        "cff-version": "1.2.0",
        "message": "If you use this data, please cite this release, and the registries that it names where you use theirs alone.",
        "type": "dataset",
        "title": title(it),
        "authors": [{"name": NAME}],
        "abstract": abstract(it),
        "version": str(it.number),
        "date-released": it.day,
        "url": it.iri,
        "keywords": list(_WORDS),
        "identifiers": [{"type": "url", "value": it.iri, "description": "the release"}],
        "references": [_reference(source.title, source.publisher, source.licence) for source in it.sources],
    }
    if len(spdx) == 1 and spdx[0]:
        told["license"] = spdx[0]
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items() if value)
    return "\n".join(lines) + "\n"


def _reference(name: str, publisher: str, licence: str) -> dict[str, object]:
    told: dict[str, object] = {"type": "database", "title": name, "authors": [{"name": publisher or name}]}
    return told | ({"license-url": licence} if licence.startswith("http") else {})


def datacite(it: Release) -> dict[str, object]:
    """Write the metadata of DataCite 4.5 (https://schema.datacite.org/meta/kernel-4.5/), to which a DOI can be given."""
    return {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "url": it.iri,
        "creators": [{"name": NAME, "nameType": "Organizational"}],
        "titles": [{"title": title(it), "lang": "en"}],
        "publisher": {"name": NAME},
        "publicationYear": it.day[:4],
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Linked data"},
        "contributors": [
            {"name": source.publisher or source.title, "nameType": "Organizational", "contributorType": "DataCollector"}
            for source in it.sources
        ],
        "subjects": [{"subject": word} for word in _WORDS],
        "dates": [{"date": it.issued, "dateType": "Issued"}],
        "language": "en",
        "alternateIdentifiers": [{"alternateIdentifier": it.iri, "alternateIdentifierType": "URL"}],
        "relatedIdentifiers": _before(it),
        "sizes": [f"{it.counts.get('records', 0)} records", f"{it.counts.get('statements', 0)} statements"],
        "formats": sorted({file.media for file in it.files}),
        "version": str(it.number),
        "rightsList": [{"rightsUri": licence} for licence in licences(it) if licence.startswith("http")],
        "descriptions": [{"description": abstract(it), "descriptionType": "Abstract", "lang": "en"}],
    }


def _before(it: Release) -> list[dict[str, str]]:
    if it.previous is None:
        return []
    before = f"{it.iri.rpartition('/')[0]}/{it.previous}"
    return [{"relatedIdentifier": before, "relatedIdentifierType": "URL", "relationType": "IsNewVersionOf"}]


def zenodo(it: Release) -> dict[str, object]:
    """Write the metadata of a deposit at Zenodo (https://developers.zenodo.org/#representation)."""
    names = {known[1] if (known := _known(licence)) else "other-open" for licence in licences(it)}
    return {
        "upload_type": "dataset",
        "title": title(it),
        "creators": [{"name": NAME}],
        "description": abstract(it),
        "publication_date": it.day,
        "access_right": "open",
        "license": names.pop() if len(names) == 1 else "other-open",
        "version": str(it.number),
        "language": "eng",
        "keywords": list(_WORDS),
        "related_identifiers": [{"identifier": it.iri, "relation": "isIdenticalTo", "resource_type": "dataset"}],
    }
