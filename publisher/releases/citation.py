"""Write the citation metadata of a release: CITATION.cff, Zenodo and DataCite."""

from __future__ import annotations

import json

from publisher.store.releases.manifest import Release

NAME = "WSIS Stocktaking"
ABSTRACT = (
    "Initiatives for the information society, gathered from public registries and published as linked data by WSIS action line and "
    "Sustainable Development Goal."
)
DEMO_PREFIX = "Demonstration data: "  # prefix of titles in a demo installation
DEMO_NOTE = "Demonstration data: registries, projects and organizations are made up."
_KEYWORDS = ("WSIS", "SDG", "digital development", "linked data")
# The names of licences in the SPDX list and at Zenodo; other licences are identified by their URLs.
_LICENCES = {
    "creativecommons.org/licenses/by/4.0": ("CC-BY-4.0", "cc-by-4.0"),
    "creativecommons.org/licenses/by-sa/4.0": ("CC-BY-SA-4.0", "cc-by-sa-4.0"),
    "creativecommons.org/publicdomain/zero/1.0": ("CC0-1.0", "cc-zero"),
}


def title(release: Release) -> str:
    """Return the title of a release."""
    return f"{DEMO_PREFIX if release.demo else ''}{NAME}, release {release.number}"


def abstract(release: Release) -> str:
    """Return the abstract of a release."""
    return f"{DEMO_NOTE} {ABSTRACT}" if release.demo else ABSTRACT


def licences(release: Release) -> list[str]:
    """List the licences of the sources."""
    return sorted({source.licence for source in release.sources if source.licence})


def _known(licence: str) -> tuple[str, str] | None:
    return _LICENCES.get(
        licence.removeprefix("https://").removeprefix("http://").removesuffix("deed.en").rstrip("/")
    )


def cff(release: Release) -> str:
    """Write CITATION.cff (https://github.com/citation-file-format/citation-file-format, 1.2.0);
    JSON is YAML.
    """
    spdx = [known[0] if (known := _known(licence)) else None for licence in licences(release)]
    fields: dict[str, object] = {
        "cff-version": "1.2.0",
        "message": "If you use this data, please cite this release, and the registries that it names where you use theirs alone.",
        "type": "dataset",
        "title": title(release),
        "authors": [{"name": NAME}],
        "abstract": abstract(release),
        "version": str(release.number),
        "date-released": release.day,
        "url": release.iri,
        "keywords": list(_KEYWORDS),
        "identifiers": [{"type": "url", "value": release.iri, "description": "the release"}],
        "references": [
            _reference(source.title, source.publisher, source.licence) for source in release.sources
        ],
    }
    if len(spdx) == 1 and spdx[0]:
        fields["license"] = spdx[0]
    lines = (
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value
    )
    return "\n".join(lines) + "\n"


def _reference(name: str, publisher: str, licence: str) -> dict[str, object]:
    fields: dict[str, object] = {
        "type": "database",
        "title": name,
        "authors": [{"name": publisher or name}],
    }
    return fields | ({"license-url": licence} if licence.startswith("http") else {})


def datacite(release: Release) -> dict[str, object]:
    """Write the metadata of DataCite 4.5 (https://schema.datacite.org/meta/kernel-4.5/), to which a
    DOI can be given.
    """
    return {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "url": release.iri,
        "creators": [{"name": NAME, "nameType": "Organizational"}],
        "titles": [{"title": title(release), "lang": "en"}],
        "publisher": {"name": NAME},
        "publicationYear": release.day[:4],
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Linked data"},
        "contributors": [
            {
                "name": source.publisher or source.title,
                "nameType": "Organizational",
                "contributorType": "DataCollector",
            }
            for source in release.sources
        ],
        "subjects": [{"subject": word} for word in _KEYWORDS],
        "dates": [{"date": release.issued, "dateType": "Issued"}],
        "language": "en",
        "alternateIdentifiers": [
            {"alternateIdentifier": release.iri, "alternateIdentifierType": "URL"}
        ],
        "relatedIdentifiers": _before(release),
        "sizes": [
            f"{release.counts.get('records', 0)} records",
            f"{release.counts.get('statements', 0)} statements",
        ],
        "formats": sorted({file.media for file in release.files}),
        "version": str(release.number),
        "rightsList": [
            {"rightsUri": licence} for licence in licences(release) if licence.startswith("http")
        ],
        "descriptions": [
            {"description": abstract(release), "descriptionType": "Abstract", "lang": "en"}
        ],
    }


def _before(release: Release) -> list[dict[str, str]]:
    if release.previous is None:
        return []
    before = f"{release.iri.rpartition('/')[0]}/{release.previous}"
    return [
        {
            "relatedIdentifier": before,
            "relatedIdentifierType": "URL",
            "relationType": "IsNewVersionOf",
        }
    ]


def zenodo(release: Release) -> dict[str, object]:
    """Write the metadata of a deposit at Zenodo (https://developers.zenodo.org/#representation)."""
    names = {
        known[1] if (known := _known(licence)) else "other-open" for licence in licences(release)
    }
    return {
        "upload_type": "dataset",
        "title": title(release),
        "creators": [{"name": NAME}],
        "description": abstract(release),
        "publication_date": release.day,
        "access_right": "open",
        "license": names.pop() if len(names) == 1 else "other-open",
        "version": str(release.number),
        "language": "eng",
        "keywords": list(_KEYWORDS),
        "related_identifiers": [
            {"identifier": release.iri, "relation": "isIdenticalTo", "resource_type": "dataset"}
        ],
    }
