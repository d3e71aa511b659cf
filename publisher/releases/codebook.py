"""Write the codebook of a release: each column with its type, unit, code list and examples from the release itself."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from publisher.facets.schema import TABLES, Table, TableColumn
from publisher.store.releases.manifest import Release

NAME = "codebook.md"
_EXAMPLES, _ROWS = 2, 2_000  # examples of a column, and rows that are read for them
_LONGEST = 60  # characters of an example


def codebook(release: Release, title: str, folder: Path, base: str) -> str:
    """Return the codebook in Markdown; the examples are from the CSV files in *folder*, code lists have addresses under *base*."""
    lines = [f"# {title}: codebook", "", f"Release {release.number} of {release.day}: {release.iri}", ""]
    lines += ["Values of a list are separated by a space in CSV and are lists in Parquet. Times are in UTC.", ""]
    for table in TABLES.values():
        lines += [f"## {table.name}", "", f"A row is {table.row_description}."]
        lines += [f"Key: {', '.join(f'`{name}`' for name in table.key)}."] if table.key else []
        lines += [f"`{item.column}` is `{item.target}` of `{item.table}`." for item in table.references]
        lines += ["", "| column | type | description | unit, values or code lists | examples |", "|---|---|---|---|---|"]
        examples = column_examples(folder / f"{table.name}.csv.gz", table)
        lines += [_line(column, examples[column.name], base) for column in table.columns]
        lines += [""]
    return "\n".join(lines)


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
    domain = ", ".join([*([column.unit] if column.unit else []), *(f"`{value}`" for value in column.values), *lists])
    kind = f"{column.kind.value}{', required' if column.required else ''}"
    cells = (f"`{column.name}`", kind, column.description, domain, " · ".join(f"`{example}`" for example in examples))
    return f"| {' | '.join(cells)} |"


def _cut(text: str) -> str:
    plain = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
