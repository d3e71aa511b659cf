"""Citations: each is what its schema asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import yaml
from datacite import schema45
from rows import each

from publisher.releases.metadata import render
from publisher.store.releases.manifest import File, Release, ReleaseSource

BY = "https://creativecommons.org/licenses/by/4.0/"
SOURCES = (ReleaseSource("a", 'The "A": registry', "Ministry", BY), ReleaseSource("b", "B", "", ""))
RELEASE = Release(
    4, "https://x.org/release/4", 17, "ab" * 32, "2026-04-01T06:00:00Z", 3, {"records": 5, "statements": 99}, {}, SOURCES,
    (File("a.nq.gz", "application/n-quads", 1, "00"),),
)  # fmt: skip


def test_datacite_takes_the_metadata() -> None:
    result = json.loads(render("datacite.json", RELEASE))

    assert schema45.validate(result)
    assert result["publicationYear"] == "2026"
    assert result["relatedIdentifiers"] == [
        {"relatedIdentifier": "https://x.org/release/3", "relatedIdentifierType": "URL", "relationType": "IsNewVersionOf"},
    ]  # fmt: skip


def test_datacite_makes_its_xml_of_the_metadata() -> None:
    assert "<version>4</version>" in schema45.tostring(json.loads(render("datacite.json", RELEASE)))


def test_the_citation_file_has_what_its_format_asks_for() -> None:
    result = yaml.safe_load(render("CITATION.cff", RELEASE))

    assert {"cff-version", "message", "title", "authors"} <= result.keys()
    assert (result["cff-version"], result["type"], result["version"]) == ("1.2.0", "dataset", "4")
    assert (result["date-released"], result["license"], result["url"]) == (
        "2026-04-01",
        "CC-BY-4.0",
        "https://x.org/release/4",
    )
    assert result["references"][0]["title"] == 'The "A": registry'
    assert result["references"][1]["authors"] == [{"name": "B"}]


@each(
    "licences, zenodo, spdx",
    [((BY, BY), "cc-by-4.0", "CC-BY-4.0"), ((BY, "https://creativecommons.org/publicdomain/zero/1.0/"), "other-open", None),
     (("https://example.org/terms",), "other-open", None), ((), "other-open", None)],
)  # fmt: skip
def test_a_release_of_several_licences_claims_none_of_them(
    licences: tuple[str, ...], zenodo: str, spdx: str | None
) -> None:
    release = replace(
        RELEASE,
        sources=tuple(
            ReleaseSource(str(number), "t", "p", item) for number, item in enumerate(licences)
        ),
    )

    result = yaml.safe_load(render("CITATION.cff", release))

    assert json.loads(render("zenodo.json", release))["license"] == zenodo
    assert result.get("license") == spdx


def test_zenodo_gets_all_that_a_deposit_must_have() -> None:
    result = json.loads(render("zenodo.json", RELEASE))

    must = {
        "upload_type", "publication_date", "title", "creators", "description", "access_right", "license",
    }  # fmt: skip
    assert must <= result.keys()
    assert all(result[name] for name in must)


def test_each_citation_of_a_demo_release_says_that_its_data_are_made_up() -> None:
    release = replace(RELEASE, demo=True)
    title = "Demonstration data: WSIS Stocktaking, release 4"
    note = "Demonstration data: registries, projects and organizations are made up."

    cff = yaml.safe_load(render("CITATION.cff", release))
    datacite: dict[str, Any] = json.loads(render("datacite.json", release))
    zenodo: dict[str, Any] = json.loads(render("zenodo.json", release))

    assert [cff["title"], datacite["titles"][0]["title"], zenodo["title"]] == [title] * 3
    assert cff["abstract"].startswith(note)
    assert datacite["descriptions"][0]["description"].startswith(note)
    assert zenodo["description"].startswith(note)
