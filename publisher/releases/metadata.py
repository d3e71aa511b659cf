"""The metadata of a release: one model, and a template for each file; those for print are typeset
as tagged PDF with Typst (https://typst.app/docs/), where the same document yields the same bytes.

Sources: https://github.com/citation-file-format/citation-file-format (1.2.0; JSON is YAML),
https://schema.datacite.org/meta/kernel-4.5/, https://developers.zenodo.org/#representation,
https://www.w3.org/TR/tabular-metadata/, https://datapackage.org/,
https://docs.mlcommons.org/croissant/docs/croissant-spec.html, https://w3id.org/ro/crate/1.1.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from publisher.errors import ReleaseError
from publisher.releases.signature import SUFFIX, SUMS, sha256_of
from publisher.releases.tables import TABLES, Table
from publisher.store.releases import MANIFEST, File, Release
from web.branding import NAME
from web.templating import escape_unsafe_text

ABSTRACT = (
    "Initiatives for the information society, gathered from public registries and published as linked data by WSIS action line and "
    "Sustainable Development Goal."
)
DEMO_PREFIX = "Demonstration data: "  # prefix of titles in a demo installation
DEMO_NOTE = "Demonstration data: registries, projects and organizations are made up."
CODEBOOK, PRINTED_CODEBOOK = "codebook.md", "codebook.pdf"
# Name, media type and description of each file, in the order in which they are written: each may
# describe those before it.
FILES = (
    (CODEBOOK, "text/markdown", "each column with its unit, code list and examples"),
    (PRINTED_CODEBOOK, "application/pdf", "each column with its unit, code list and examples, for print"),
    ("changelog.json", "application/json", "what has changed since the release before, in numbers"),
    ("csv-metadata.json", "application/csvm+json", "the columns of the tables, by CSVW"),
    ("CITATION.cff", "application/yaml", "how it is cited"),
    ("datacite.json", "application/json", "metadata of DataCite 4.5"),
    ("zenodo.json", "application/json", "metadata of a deposit at Zenodo"),
    ("datapackage.json", "application/json", "all files and the columns of the tables, as a Data Package"),
    ("croissant.json", "application/ld+json", "the tables as record sets, by Croissant 1.0"),
    ("ro-crate-metadata.json", "application/ld+json", "all files, as an RO-Crate 1.1"),
)  # fmt: skip
_TEMPLATES = Path(__file__).parent / "templates"
_NOTE = (
    "Values of a list are separated by a space in CSV and are lists in Parquet. Times are in UTC."
)
# The names of licences in the SPDX list and at Zenodo; other licences are identified by their URLs.
_LICENCES = {
    "creativecommons.org/licenses/by/4.0": ("CC-BY-4.0", "cc-by-4.0"),
    "creativecommons.org/licenses/by-sa/4.0": ("CC-BY-SA-4.0", "cc-by-sa-4.0"),
    "creativecommons.org/publicdomain/zero/1.0": ("CC0-1.0", "cc-zero"),
}
_EXAMPLES, _ROWS = 2, 2_000  # examples of a column, and rows that are read for them
_LONGEST = 60  # characters of an example
# Typst's own fonts have these letters: Latin, Greek and Cyrillic.
_PRINTABLE = re.compile("[\x20-\u052f\u1e00-\u20cf]*")

Examples = Mapping[str, Mapping[str, list[str]]]  # by table and column


def title(release: Release) -> str:
    return f"{DEMO_PREFIX if release.demo else ''}{NAME}, release {release.number}"


def abstract(release: Release) -> str:
    return f"{DEMO_NOTE} {ABSTRACT}" if release.demo else ABSTRACT


def licences(release: Release) -> list[str]:
    return sorted({source.licence for source in release.sources if source.licence})


def add_metadata(release: Release, folder: Path, base: str) -> Release:
    """Write the files of metadata into *folder*, which has all others; return the release with
    them. Code lists have addresses under *base*. Raises ReleaseError.
    """
    files, examples = list(release.files), table_examples(folder)
    for name, media, description in FILES:
        if name == PRINTED_CODEBOOK:
            content = _print_codebook(release, examples, base)
        else:
            content = render(name, release, files=files, examples=examples, base=base)
        (folder / name).write_bytes(content)
        files.append(describe_file(folder / name, media, description))
    return replace(release, files=tuple(files))


def describe_file(path: Path, media: str, description: str, rows: int | None = None) -> File:
    return File(path.name, media, path.stat().st_size, sha256_of(path), description, rows)


def render(name: str, release: Release, **more: object) -> bytes:
    known = [
        _LICENCES.get(
            re.sub(r"^https?://", "", licence).rstrip("/").removesuffix("deed.en").rstrip("/")
        )
        for licence in licences(release)
    ]
    one = known[0] if len(set(known)) == 1 else None
    text = _environment().get_template(name).render(
        release=release,
        title=title(release),
        abstract=abstract(release),
        publisher=NAME,
        keywords=["WSIS", "SDG", "digital development", "linked data"],
        addresses=[licence for licence in licences(release) if licence.startswith("http")],
        spdx=one and one[0],
        zenodo=one[1] if one else "other-open",
        tables=list(TABLES.values()),
        note=_NOTE,
        later=[SUMS, MANIFEST],
        suffix=SUFFIX,
        **more,
    )  # fmt: skip
    if name.endswith(".json"):
        return orjson.dumps(
            json.loads(text), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
    return text.encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


def _print_codebook(release: Release, examples: Examples, base: str) -> bytes:
    """Return the codebook as tagged PDF, with the examples that Typst's own fonts can print."""
    document = {
        "title": f"{title(release)}: codebook",
        "publisher": title(release).partition(",")[0],
        "lead": f"Release {release.number} of {release.day}",
        "address": release.iri,
        "base": base,
        "notes": [
            _NOTE,
            f"Examples in letters other than Latin, Greek and Cyrillic are in {CODEBOOK} of the same release.",
        ],
        "tables": [asdict(table) for table in TABLES.values()],
        "examples": {
            table: {
                name: list(filter(_PRINTABLE.fullmatch, texts)) for name, texts in columns.items()
            }
            for table, columns in examples.items()
        },
    }
    return typeset(_TEMPLATES / "codebook.typ", document, release.issued)


def table_examples(folder: Path) -> Examples:
    """Return the examples of each column of each table, from the CSV files in *folder*."""
    return {
        name: _column_examples(folder / f"{name}.csv.gz", table) for name, table in TABLES.items()
    }


def _column_examples(file: Path, table: Table) -> dict[str, list[str]]:
    """Return the first different values of each column of a table, long ones cut."""
    examples: dict[str, list[str]] = {column.name: [] for column in table.columns}
    with gzip.open(file, "rt", encoding="utf-8", newline="") as content:
        for row in islice(csv.DictReader(content), _ROWS):
            for name, values in examples.items():
                value = " ".join(row[name].split()).replace("`", "'").replace("|", "/")
                if len(value) > _LONGEST:
                    value = value[: _LONGEST - 1] + "…"
                if value and value not in values and len(values) < _EXAMPLES:
                    values.append(value)
    return examples


def typeset(
    template: Path,
    document: Mapping[str, object],
    issued: str,
    pictures: Mapping[str, bytes] | None = None,
    *,
    system_fonts: bool = False,
) -> bytes:
    """Return the PDF of *document*, dated *issued* (UTC); *pictures* are files beside the template,
    by name.

    Without *system_fonts* only Typst's own fonts are used, so that the bytes are the same on every
    machine; these have Latin, Greek and Cyrillic letters. Raises ReleaseError.
    """
    typst = import_module("typst")  # late: it maps 84 MB, and most commands typeset nothing
    with TemporaryDirectory(prefix="stocktake-typst-") as folder:
        work = Path(folder)
        for name, content in (pictures or {}).items():
            (work / name).write_bytes(content)
        (work / "document.json").write_text(
            json.dumps(_make_visible(document), ensure_ascii=False), encoding="utf-8"
        )
        source = work / template.name
        source.write_bytes(template.read_bytes())
        timestamp = int(datetime.fromisoformat(issued).timestamp())
        try:
            pdf = typst.compile(
                source,
                root=work,
                format="pdf",
                ignore_system_fonts=not system_fonts,
                timestamp=timestamp,
            )
        except typst.TypstError as error:
            raise ReleaseError(f"{template.stem}.pdf could not be typeset: {error}") from error
    assert isinstance(pdf, bytes)
    return pdf


def _make_visible(value: object) -> object:
    """Escape invisible and bidirectional control characters, as pages do."""
    if isinstance(value, Mapping):
        return {name: _make_visible(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_visible(item) for item in value]
    return escape_unsafe_text(value) if isinstance(value, str) else value
