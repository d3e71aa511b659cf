"""The conformance suites of others, which lie beside the project."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"
SUITES = {  # each with the file that its tests begin with
    "w3c-sparql11": "manifest-all.ttl",
    "w3c-shacl": "manifest.ttl",
    "oai-pmh-xsd": "oai-all.xsd",
    "dcat-ap-3": "shapes.ttl",
    "tree-shacl": "tree-common.ttl",
}


def missing(shared: Path) -> list[str]:
    """Return the suites that should lie in *shared* and do not; none where there is no such folder,
    as in a copy of the project alone.
    """
    return (
        [name for name, first in SUITES.items() if not (shared / "suites" / name / first).is_file()]
        if shared.is_dir()
        else []
    )
