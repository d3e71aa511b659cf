"""Write what the search and the query page of an edition read in the browser: plain scripts, since
pages that are opened from a disk may not fetch files.

An index of the search has a script with all documents, and one script for the words that begin
alike; a search loads those that it needs. The query page has the statements of the release.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from publisher.editions.crawler import SearchDocument
from publisher.editions.pages import FACETS, normalize_path
from publisher.rdf.gzip_files import gzip_lines
from publisher.sparql.examples import Example, examples
from vocab.iris import Iris
from vocab.terms import DCT

SHARDS = 64  # scripts of words
_COMMON = 0.5  # of the documents: a word in more of them is ignored, in an index of at least _FEW
_FEW = 100
# Facets of the search page, and the columns of the table of initiatives that have their codes.
_COLUMNS = {
    "source": "source", "line": "action_lines", "goal": "goals", "target": "targets", "country": "countries", "year": "start_year",
    "status": "status", "coverage": "coverage", "type": "activity_types",
}  # fmt: skip
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


def read_facets(release_folder: Path, iris: Iris) -> dict[str, dict[str, str]]:
    """Return the codes of each initiative and organization of a release by the path of its page and
    by facet, separated by spaces.
    """
    codes: dict[str, dict[str, str]] = {}
    for table, key in (("initiatives", "thing"), ("organizations", "organization")):
        for row in read_table(release_folder, table):
            path = normalize_path("/page/" + row[key].removeprefix(f"{iris.base}id/"))
            codes[path] = {
                facet: row[column] for facet, column in _COLUMNS.items() if column in row
            }
    return codes


def read_table(release_folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of a release."""
    with gzip.open(release_folder / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write_index(
    folder: Path, documents: Sequence[SearchDocument], codes: Mapping[str, Mapping[str, str]]
) -> None:
    """Write the index of *documents*, all of one language, into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(document, codes) for document in documents]
    words: dict[str, list[int]] = defaultdict(list)
    for number, document in enumerate(documents):
        for word in document.words:
            words[word].append(number)
    most = len(documents) * _COMMON if len(documents) >= _FEW else len(documents)
    common = sorted(word for word, numbers in words.items() if len(numbers) > most)
    columns = ["file", "title", *FACETS]
    _write(
        folder / "documents.js",
        "documents",
        {"columns": columns, "common": common, "shards": SHARDS, "rows": rows},
    )
    shards: dict[int, dict[str, list[int]]] = {number: {} for number in range(SHARDS)}
    for word in sorted(words.keys() - set(common)):
        numbers = words[word]
        # each less the one before: small numbers are short texts
        shards[shard_of(word)][word] = [one - last for last, one in pairwise([0, *numbers])]
    for number, shard in shards.items():
        _write(folder / f"words-{number}.js", "words", {"shard": number, "words": shard})


def shard_of(word: str) -> int:
    """Return the number of the script of a word: of its first character, so that words of a prefix
    share a script.

    >>> shard_of("telemedicine") == shard_of("te")
    True
    """
    return ord(word[0]) % SHARDS


def _row(document: SearchDocument, codes: Mapping[str, Mapping[str, str]]) -> list[str]:
    known = codes.get(document.path, {})
    source = document.path.split("/")[3] if document.kind != "topic" else ""
    values = {"kind": document.kind, "source": source, **known}
    return [document.file, document.title, *(values.get(facet, "") for facet in FACETS)]


def _write(path: Path, name: str, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    path.write_text(f"stocktakeSearch.{name}({text});\n", encoding="utf-8")


def write_query_data(folder: Path, release_folder: Path, number: int, iris: Iris) -> int:
    """Write the statements of a release without descriptions as a script; return their bytes, 0 if
    they are too many for a browser.
    """
    size, parts = 0, list[bytes]()
    for line in gzip_lines(release_folder / f"stocktake-{number}.nt.gz"):
        if _DESCRIPTION not in line:
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
