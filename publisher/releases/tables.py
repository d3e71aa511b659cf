"""The tables of a release, as CSV and as Parquet: ``tables.toml`` describes each column, and DuckDB
fills it from the statements.

A part of the graphs is read at a time, and sorting spills to disk, so memory use is constant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from publisher.data.properties import (
    FACETS,
    PropertyRow,
    PropertyTable,
    describe_area,
    published_properties,
)
from publisher.data.tables import connect, sql
from publisher.rdf import namespaces, parse_node
from publisher.releases.dump import DumpTotals, gzip_writer
from publisher.store.releases import ReleaseSource
from vocab.iris import KINDS, Iris
from vocab.schemes import concepts
from vocab.terms import DCAT, DCT, RDF

_SORTED_BYTES = 24 << 20  # bytes of rows that are sorted at once
MEMORY = "192MiB"  # of memory for DuckDB; the rest is spilled
PART = 100_000  # statements whose rows are computed at once
# The rows of a Parquet row group, and the bytes that they have at most: DuckDB writes a group from
# memory, and a reader skips a group whose statistics exclude its condition.
ROW_GROUP, _ROW_GROUP_BYTES = 20_000, 24 << 20
_FETCHED = 5_000  # rows of a table that are in memory at once
_TYPES = {"number": "BIGINT", "decimal": "DOUBLE", "iris": "VARCHAR[]", "words": "VARCHAR[]"}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column; a cell is empty if the value is unknown, unless the column is *required*.

    *type* is text, iri, number, decimal, time (xsd:dateTime in UTC), or of lists iris and words
    (codes or language tags), whose items a space separates. *unit* is that of a number, *schemes*
    are the concept schemes whose codes it has, *values* all its values where it has few, and *sql*
    the expression that fills it, its name if "".
    """

    name: str
    description: str
    type: str = "text"
    sql: str = ""
    required: bool = False
    unit: str = ""
    schemes: Sequence[str] = ()
    values: Sequence[str] = ()

    @property
    def is_list(self) -> bool:
        return self.type in ("iris", "words")

    @property
    def full_description(self) -> str:
        """Return the description with the unit and the code lists, as one text.

        >>> TABLES["links"].columns[-1].full_description
        '0 to 1, of a suggestion; unit: share'
        """
        unit = [f"unit: {self.unit}"] if self.unit else []
        schemes = [f"code lists: {', '.join(self.schemes)}"] if self.schemes else []
        return "; ".join([self.description, *unit, *schemes])


@dataclass(frozen=True, slots=True)
class Table:
    """A table; *row* describes a row, *relation* is what it is selected from.

    *key* are the columns that identify a row, if some do. *references* are columns with values of a
    column (*target*) of another *table*. *order* are the columns that its files are sorted by:
    first those that queries select rows by.
    """

    name: str
    row: str
    relation: str
    columns: Sequence[TableColumn]
    order: Sequence[str]
    key: Sequence[str] = ()
    references: Sequence[Mapping[str, str]] = ()

    @property
    def codes(self) -> list[str]:
        """Return the columns whose texts look like numbers, such as ``404``, but are none, which
        readers need to know.
        """
        return [
            column.name
            for column in self.columns
            if column.schemes or column.name in ("identifier", "code", "countries")
        ]


_DESCRIBED = tomllib.loads((Path(__file__).parent / "tables.toml").read_text())
_TAKES = _DESCRIBED.pop("take")


def read_tables(properties: PropertyTable) -> dict[str, Table]:
    """Return the tables; that of initiatives has the columns of *properties* where ``tables.toml``
    names these, and at its end those that it does not name.
    """
    own = {row.name: _property_column(row) for row in properties if row.column}
    tables = {}
    for name, item in _DESCRIBED.items():
        columns = [
            own.pop(row["property"]) if "property" in row else TableColumn(**row)
            for row in item["columns"]
        ]
        if name == "initiatives":
            columns += own.values()
        tables[name] = Table(name, **{**item, "columns": columns})
    return tables


def _property_column(row: PropertyRow) -> TableColumn:
    described: dict[str, Any] = {**row.column}
    take = described.pop("take", "of_thing")
    return TableColumn(**described, sql=f"{take}('{row.iri}')")


TABLES = read_tables(published_properties())
INITIATIVES = TABLES["initiatives"]
# The columns of every table with a row for each thing: of a topic, a search, or a release.
LISTED = INITIATIVES.columns[: [column.name for column in INITIATIVES.columns].index("record")]


def area_cells(codes: Sequence[str], iris: Iris) -> dict[str, object]:
    """Return the cells of the countries and areas with *codes*: their codes, English names, ISO
    codes and ITU regions.
    """
    known = [describe_area(code, iris) for code in codes]
    return {
        "countries": list(codes),
        "country_name": "; ".join(name for name, _, _ in known if name) or None,
        "iso3": "; ".join(iso3 for _, iso3, _ in known if iso3) or None,
        "itu_region": sorted({region for *_, region in known if region}),
    }


def open_tables(
    work: Path, iris: Iris, described: Mapping[str, Table] = TABLES
) -> duckdb.DuckDBPyConnection:
    """Open a new database in the folder *work*, in which the tables are computed."""
    work.mkdir(parents=True, exist_ok=True)
    file, spilled = work / "tables.duckdb", str(work / "spilled")
    connection = connect(file, memory_limit=MEMORY, threads=1, temp_directory=spilled)
    connection.create_function(
        "literal_text", lambda term: parse_node(term).value, ["VARCHAR"], "VARCHAR"
    )
    connection.execute(_statements(iris)[0])
    codes = [FACETS["area"].code(area, iris) for area in concepts("area", iris.base)]
    areas = [(code, *describe_area(code, iris)) for code in codes]
    connection.executemany("INSERT INTO areas VALUES (?, ?, ?, ?)", areas)
    for table in described.values():
        columns = [f'"{item.name}" {_TYPES.get(item.type, "VARCHAR")}' for item in table.columns]
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(columns)})")
    return connection


@lru_cache(1)
def _statements(iris: Iris) -> tuple[str, str]:
    """Return the SQL that is run once, and that for each part of the graphs."""
    first, _, part = _expanded(sql("release-tables"), iris).partition("-- part\n")
    return first, part


def _expanded(text: str, iris: Iris) -> str:
    """Return *text* with the macros of ``tables.toml`` expanded, and with prefixed names as terms.

    >>> _expanded("of_node('dct:title')", Iris())
    "arg_min(text, o) FILTER (WHERE p = '<http://purl.org/dc/terms/title>')"
    """
    spaces = namespaces(iris)
    text = re.sub(r"\b(\w+)\(('\w+:\w+')\)", lambda take: _TAKES[take[1]].format(take[2]), text)
    text = re.sub(r"'(\w+):(\w+)'", lambda name: f"'<{spaces[name[1]]}{name[2]}>'", text)
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    return text.replace("BASE", iris.base).replace("KINDS", kinds)


def compute_tables(
    tables: duckdb.DuckDBPyConnection,
    work: Path,
    quads: Path,
    totals: DumpTotals,
    iris: Iris,
    described: Mapping[str, Table] = TABLES,
) -> None:
    """Fill the tables from the gzip file *quads* of N-Quads; *work* is the folder of their database."""
    parts, folder = totals.quads // PART + 1, work / "parts"
    # Files by part are written in half the time that sorting a table by part takes.
    written = f"TO '{folder}' (FORMAT parquet, COMPRESSION lz4, PARTITION_BY part, APPEND)"
    tables.execute(
        f"""COPY (SELECT hash(g) % {parts} AS part, g, s, p, o FROM ({_read_lines(quads, totals.longest)})) {written};
        CREATE VIEW quads AS FROM read_parquet('{folder}/*/*');
        COPY (SELECT DISTINCT hash(s) % {parts} AS part, s AS g, s, p, o FROM quads
        WHERE starts_with(s, '<{iris.base}id/organization/')) {written}"""
    )
    for part in range(parts):
        tables.execute(_statements(iris)[1].replace("PART", str(part)))
        for table in described.values():
            columns = ", ".join(_expanded(item.sql or item.name, iris) for item in table.columns)
            relation = _expanded(table.relation, iris)
            tables.execute(f"INSERT INTO {table.name} SELECT {columns} FROM {relation}")
    tables.execute(
        """CREATE TEMP TABLE things AS SELECT row_number() OVER () AS thing, thing AS iri, 1 AS kind, source, title,
            NULL::VARCHAR[] AS other_titles, list_filter([part_of], lambda one: one <> '') AS wholes FROM initiatives;
        CREATE TEMP TABLE clusters AS SELECT thing AS iri, cluster FROM merged"""
    )
    tables.execute(sql("groups"))
    tables.execute(
        """UPDATE initiatives SET cluster = together.cluster
        FROM (SELECT iri, cluster FROM groups_now JOIN things USING (thing)) together WHERE iri = initiatives.thing"""
    )


def _read_lines(file: Path, longest: int) -> str:
    """Return the SQL that reads the terms of a gzip file of N-Quads, whose longest line has
    *longest* bytes.
    """
    # No term has a tab (https://www.w3.org/TR/rdf-canon/).
    return f"""SELECT s, p, g, substr(line, length(s) + length(p) + 3, length(line) - length(s) - length(p) - length(g) - 5) AS o
        FROM (SELECT line, split_part(line, ' ', 1) AS s, split_part(line, ' ', 2) AS p, string_split(line, ' ')[-2] AS g
            FROM read_csv('{file}', columns = {{'line': 'VARCHAR'}}, header = false, delim = '\t', quote = '', escape = '',
                max_line_size = {max(longest + 1, 1 << 16)}, auto_detect = false, compression = 'gzip'))"""


def write_table(tables: duckdb.DuckDBPyConnection, table: Table, folder: Path) -> int:
    """Write a table into *folder*, and return the number of its rows. DuckDB fails to sort texts
    larger than its memory, so rows are ranked by few columns, and then sorted in parts.
    """
    names = [f'"{column.name}"' for column in table.columns]
    order = ", ".join(f'"{name}" NULLS LAST' for name in table.order)
    sample = f"(FROM {table.name} LIMIT {_FETCHED})"
    [(count, row_bytes)] = tables.execute(
        f"SELECT (SELECT count(*) FROM {table.name}), 1 + coalesce(avg(strlen(item::VARCHAR)), 0) FROM {sample} item"
    ).fetchall()
    tables.execute(
        f"""CREATE OR REPLACE TABLE ranks AS SELECT rowid AS id, row_number() OVER (ORDER BY {order}) AS rank FROM {table.name};
        CREATE OR REPLACE TABLE ordered AS FROM {table.name} LIMIT 0"""
    )
    at_once = max(1, int(_SORTED_BYTES / row_bytes))
    for start in range(0, count, at_once):
        tables.execute(
            f"""INSERT INTO ordered SELECT item.* FROM {table.name} item JOIN ranks ON item.rowid = ranks.id
            WHERE rank > {start} AND rank <= {start + at_once} ORDER BY rank"""
        )
    cells = ", ',', ".join(
        f"csv_cell(array_to_string({name}, ' '))" if column.is_list else f"csv_cell({name})"
        for name, column in zip(names, table.columns, strict=True)
    )
    with gzip_writer(folder / f"{table.name}.csv.gz") as file:
        file.write(f"{','.join(column.name for column in table.columns)}\r\n".encode())
        file.writelines(
            _read_column(
                tables.execute(f"SELECT encode(concat({cells}, chr(13), chr(10))) FROM ordered")
            )
        )
    selected = (
        f"TRY_CAST({name} AS TIMESTAMP) AS {name}" if column.type == "time" else name
        for name, column in zip(names, table.columns, strict=True)
    )
    group = max(1, min(ROW_GROUP, int(_ROW_GROUP_BYTES / row_bytes)))
    tables.execute(
        f"""COPY (SELECT {", ".join(selected)} FROM ordered)
        TO '{folder / table.name}.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group})"""
    )
    return int(count)


def _read_column(rows: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    while fetched := rows.fetchmany(_FETCHED):
        yield from (cell for (cell,) in fetched)


def count_tables(tables: duckdb.DuckDBPyConnection, iris: Iris) -> dict[str, int]:
    """Return the numbers of graphs, of records by their state, and of things by their kind."""
    rows = tables.execute(
        f"""SELECT 'graphs', count(DISTINCT g) FROM quads WHERE NOT starts_with(g, '<{iris.base}id/')
        UNION ALL SELECT 'records', count(*) FROM records WHERE state <> 'gone'
        UNION ALL SELECT 'vanished', count(*) FROM records WHERE state = 'vanished'
        UNION ALL SELECT 'gone', count(*) FROM records WHERE state = 'gone'
        UNION ALL (SELECT kind, count(*) FROM records WHERE state <> 'gone' AND kind <> '' GROUP BY kind ORDER BY kind)"""
    )
    return dict(rows.fetchall())


def read_sources(tables: duckdb.DuckDBPyConnection, iris: Iris) -> list[ReleaseSource]:
    """Return the registries that have a catalog."""
    values = ", ".join(
        f"coalesce(literal_text(min(o) FILTER (WHERE p = '<{DCT}{name}>')), '')"
        for name in ("title", "publisher", "license")
    )
    start = f"<{iris.base}source/"
    rows = tables.execute(
        f"""SELECT replace(rtrim(g, '>'), '{start}', '') AS name, {values} FROM quads
        WHERE s = g AND starts_with(g, '{start}') GROUP BY g
        HAVING bool_or(p = '<{RDF}type>' AND o = '<{DCAT}Catalog>') ORDER BY g"""
    ).fetchall()
    return [ReleaseSource(name, title or name, *rest) for name, title, *rest in rows]


def read_gone(tables: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    """Yield the lines of N-Quads of the records that are gone, sorted."""
    return _read_column(
        tables.execute(
            """SELECT encode(concat(s, ' ', p, ' ', o, ' ', g, ' .', chr(10))) FROM quads
            WHERE g IN (SELECT concat('<', record, '>') FROM records WHERE state = 'gone') ORDER BY g, s, p, o"""
        )
    )


CHANGE_TYPES = ("new", "changed", "vanished", "gone")


def count_changes(tables: duckdb.DuckDBPyConnection, before: Path | None) -> dict[str, object]:
    """Count the records that differ from those of the release in the folder *before*, by their
    kind, source and action line; None: all are new.

    Action lines that sources declare and those that were crosswalked are counted separately.
    """
    old = f"read_parquet('{before / 'records.parquet'}')" if before else "records LIMIT 0"
    columns = "record, kind, source, state, sha256, action_lines, action_lines_crosswalked"
    groups: dict[str, dict[str, dict[str, int]]] = {
        group: {} for group in ("all", "kind", "source", "declared", "crosswalked")
    }
    rows = tables.execute(
        f"""WITH old AS (SELECT {columns} FROM (FROM {old}) WHERE state <> 'gone'),
        new AS (SELECT {columns} FROM records WHERE state <> 'gone'),
        compared AS (
            SELECT CASE WHEN new.record IS NULL THEN 'gone' WHEN old.record IS NULL THEN 'new'
                    WHEN old.state = 'published' AND new.state = 'vanished' THEN 'vanished' ELSE 'changed' END AS change,
                CASE WHEN new.record IS NULL THEN old ELSE new END AS item
            FROM old FULL JOIN new USING (record) WHERE old.sha256 IS DISTINCT FROM new.sha256)
        SELECT 'all' AS name, '' AS value, change, count(*) FROM compared GROUP BY ALL
        UNION ALL SELECT 'kind', coalesce(item.kind, ''), change, count(*) FROM compared GROUP BY ALL
        UNION ALL SELECT 'source', item.source, change, count(*) FROM compared GROUP BY ALL
        UNION ALL SELECT 'declared', line, change, count(*) FROM compared, unnest(item.action_lines) lines (line) GROUP BY ALL
        UNION ALL SELECT 'crosswalked', line, change, count(*)
        FROM compared, unnest(item.action_lines_crosswalked) lines (line) GROUP BY ALL
        ORDER BY name, value"""
    )
    for group, value, change, count in rows.fetchall():
        groups[group].setdefault(value, dict.fromkeys(CHANGE_TYPES, 0))[change] = count
    return {
        **groups["all"].get("", dict.fromkeys(CHANGE_TYPES, 0)),
        "kinds": groups["kind"],
        "sources": groups["source"],
        "action_lines": {name: groups[name] for name in ("declared", "crosswalked")},
    }
