"""Write the data and the examples of the query page of an edition: the statements of a release,
which the browser queries itself.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

from publisher.rdf.gzip_files import gzip_lines
from publisher.sparql.examples import Example, examples
from vocab.iris import Iris
from vocab.terms import DCT

EXAMPLES = (
    "initiatives-by-goal",
    "initiatives-by-action-line",
    "initiatives-by-country",
    "initiatives-by-year",
    "goals-of-an-action-line",
    "organizations",
    "languages",
    "itu-regions",
    "targets-with-goals",
    "claims-by-basis",
)
LARGEST = 64 << 20  # bytes of statements: a browser takes some ten times as much memory
_DESCRIPTION = f"<{DCT}description>".encode()  # the longest texts, which the pages have


def write_query_data(folder: Path, release_folder: Path, number: int, iris: Iris) -> int:
    """Write the statements of a release without descriptions as a script; return their bytes, 0 if
    they are too many for a browser.
    """
    size, parts = 0, list[bytes]()
    for line in _statements(release_folder / f"stocktake-{number}.nt.gz"):
        size += len(line)
        parts.append(line)
        if size > LARGEST:
            return 0
    folder.mkdir(parents=True, exist_ok=True)
    packed = base64.b64encode(gzip.compress(b"".join(parts), 9, mtime=0)).decode()
    (folder / "statements.js").write_text(f'stocktakeQuery.load("{packed}");\n')
    return size


def query_examples(iris: Iris) -> list[Example]:
    """Return the examples of the page, whose results are those of the endpoint."""
    return [item for item in examples(iris) if item.name in EXAMPLES]


def _statements(file: Path) -> Iterator[bytes]:
    return (line for line in gzip_lines(file) if _DESCRIPTION not in line)
