"""Write the codebook of a release: each column with its type, unit, code list and examples from the
release itself.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping
from pathlib import Path

from publisher.releases.tables import TABLES, Table, TableColumn
from publisher.releases.typesetting import typeset
from publisher.store.releases.manifest import Release

NAME, PRINT = "codebook.md", "codebook.pdf"
_TEMPLATE = Path(__file__).parent / "codebook.typ"
_NOTE = (
    "Values of a list are separated by a space in CSV and are lists in Parquet. Times are in UTC."
)
_EXAMPLES, _ROWS = 2, 2_000  # examples of a column, and rows that are read for them
_LONGEST = 60  # characters of an example
# letters of Typst's own fonts: Latin, Greek and Cyrillic
_PRINTABLE = re.compile("[\x20-\u052f\u1e00-\u20cf]*")

Examples = Mapping[str, Mapping[str, list[str]]]  # by table and column


def codebook(release: Release, title: str, examples: Examples, base: str) -> str:
    """Return the codebook in Markdown; code lists have addresses under *base*."""
    lines = [
        f"# {title}: codebook",
        "",
        f"Release {release.number} of {release.day}: {release.iri}",
        "",
        _NOTE,
        "",
    ]
    for table in TABLES.values():
        lines += [f"## {table.name}", "", f"A row is {table.row}."]
        lines += [f"Key: {', '.join(f'`{name}`' for name in table.key)}."] if table.key else []
        lines += [
            f"`{item['column']}` is `{item['target']}` of `{item['table']}`."
            for item in table.references
        ]
        lines += [
            "",
            "| column | type | description | unit, values or code lists | examples |",
            "|---|---|---|---|---|",
        ]
        lines += [
            _line(column, examples[table.name][column.name], base) for column in table.columns
        ]
        lines += [""]
    return "\n".join(lines)


def codebook_pdf(release: Release, title: str, examples: Examples, base: str) -> bytes:
    """Return the codebook as tagged PDF, with the examples that Typst's own fonts can print. Raises
    ReleaseError.
    """
    document = {
        "title": f"{title}: codebook",
        "publisher": title.partition(",")[0],
        "lead": f"Release {release.number} of {release.day}",
        "address": release.iri,
        "notes": [
            _NOTE,
            f"Examples in letters other than Latin, Greek and Cyrillic are in {NAME} of the same release.",
        ],
        "tables": [_printed(table, examples[table.name], base) for table in TABLES.values()],
    }
    return typeset(_TEMPLATE, document, release.issued)


def _printed(table: Table, examples: Mapping[str, list[str]], base: str) -> dict[str, object]:
    return {
        "name": table.name,
        "row": table.row,
        "key": list(table.key),
        "references": [
            [item["column"], item["target"], item["table"]] for item in table.references
        ],
        "columns": [
            {
                "name": column.name,
                "type": _type_name(column),
                "description": column.description,
                "unit": column.unit,
                "values": list(column.values),
                "schemes": [[name, f"{base}scheme/{name}"] for name in column.schemes],
                "examples": [
                    example for example in examples[column.name] if _PRINTABLE.fullmatch(example)
                ],
            }
            for column in table.columns
        ],
    }


def table_examples(folder: Path) -> Examples:
    """Return the examples of each column of each table, from the CSV files in *folder*."""
    return {
        table.name: column_examples(folder / f"{table.name}.csv.gz", table)
        for table in TABLES.values()
    }


def column_examples(file: Path, table: Table) -> dict[str, list[str]]:
    """Return the first different values of each column of a table, long ones cut."""
    examples: dict[str, list[str]] = {column.name: [] for column in table.columns}
    with gzip.open(file, "rt", encoding="utf-8", newline="") as content:
        for row, _ in zip(csv.DictReader(content), range(_ROWS), strict=False):
            for name, values in examples.items():
                value = _cut(row[name])
                if value and value not in values and len(values) < _EXAMPLES:
                    values.append(value)
    return examples


def _line(column: TableColumn, examples: list[str], base: str) -> str:
    lists = [f"[{name}]({base}scheme/{name})" for name in column.schemes]
    domain = ", ".join(
        [
            *([column.unit] if column.unit else []),
            *(f"`{value}`" for value in column.values),
            *lists,
        ]
    )
    cells = (
        f"`{column.name}`",
        _type_name(column),
        column.description,
        domain,
        " · ".join(f"`{example}`" for example in examples),
    )
    return f"| {' | '.join(cells)} |"


def _type_name(column: TableColumn) -> str:
    return f"{column.type}{', required' if column.required else ''}"


def _cut(text: str) -> str:
    plain = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
