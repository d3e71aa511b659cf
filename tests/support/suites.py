"""The conformance suites of others: beside the project, in ``../shared``, or in source distributions
that ``.ci/data`` unpacks. A suite beside the project comes first.
"""

from __future__ import annotations

import sys
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"
DATA = Path(sys.prefix) / "data"
SUITES = {  # the first file of its tests in ../shared, and its folder in DATA
    "w3c-sparql11": ("manifest-all.ttl", "rdflib-7.1.4/test/data/suites/w3c/sparql11"),
    "w3c-rdf": ("", "rdflib-7.1.4/test/data/suites/w3c"),
    "w3c-shacl": ("manifest.ttl", "pyshacl-0.40.1/test/resources/sht_tests"),
    "oai-pmh-xsd": ("OAI-PMH.xsd", "pyoai-2.5.0/src/oaipmh/tests"),
    "sssom-schema": ("", "sssom-schema-1.0.0/sssom_schema/schema"),
    "dcat-ap-3": ("shapes.ttl", ""),
    "tree-shacl": ("tree-common.ttl", ""),
}


def missing(shared: Path) -> list[str]:
    """Return the suites that should be in *shared* and are not; none if there is no such folder, as
    in a copy of the project alone.
    """
    return (
        [
            name
            for name, (first, _) in SUITES.items()
            if first and not (shared / "suites" / name / first).is_file()
        ]
        if shared.is_dir()
        else []
    )


def folder(name: str) -> Path:
    """Return the folder in which the suite is, or would be."""
    _, fetched = SUITES[name]
    beside = SHARED / "suites" / name
    return beside if not fetched or beside.is_dir() else DATA / fetched


def origin(name: str) -> str:
    """Return the name of the set of the suite that is here."""
    place = folder(name)
    if not place.is_dir():
        return "not here"
    return "../shared" if place.is_relative_to(SHARED) else place.relative_to(DATA).parts[0]
