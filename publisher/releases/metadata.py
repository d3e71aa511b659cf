"""The metadata of a release: one model, and a template for each file. Its classes, properties and
links to other data sets are counted, and described by VoID.

Sources: https://www.w3.org/TR/void/, https://github.com/citation-file-format/citation-file-format (1.2.0; JSON is YAML),
https://schema.datacite.org/meta/kernel-4.5/, https://developers.zenodo.org/#representation,
https://www.w3.org/TR/tabular-metadata/, https://datapackage.org/,
https://docs.mlcommons.org/croissant/docs/croissant-spec.html, https://w3id.org/ro/crate/1.1.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain, islice
from pathlib import Path

import duckdb
import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from publisher.rdf import text_term, typed_term
from publisher.releases.signature import SUFFIX, SUMS, sha256_of
from publisher.releases.tables import TABLES, Table
from publisher.store.descriptions import Node, Statement, node_statements
from publisher.store.releases import MANIFEST, File, Release
from vocab.iris import Iris, encode
from vocab.terms import RDF
from web.branding import NAME

ABSTRACT = (
    "Initiatives for the information society, gathered from public registries and published as linked data by WSIS action line and "
    "Sustainable Development Goal."
)
DEMO_PREFIX = "Demonstration data: "  # prefix of titles in a demo installation
DEMO_NOTE = "Demonstration data: registries, projects and organizations are made up."
CODEBOOK = "codebook.md"
# Name, media type and description of each file, in the order in which they are written: each may
# describe those before it.
FILES = (
    (CODEBOOK, "text/markdown", "each column with its unit, code list and examples"),
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

Examples = Mapping[str, Mapping[str, list[str]]]  # by table and column


def title(release: Release) -> str:
    return f"{DEMO_PREFIX if release.demo else ''}{NAME}, release {release.number}"


def abstract(release: Release) -> str:
    return f"{DEMO_NOTE} {ABSTRACT}" if release.demo else ABSTRACT


def licences(release: Release) -> list[str]:
    return sorted({source.licence for source in release.sources if source.licence})


def add_metadata(release: Release, folder: Path, base: str) -> Release:
    """Write the files of metadata into *folder*, which has all others; return the release with
    them. Code lists have addresses under *base*.
    """
    files, examples = list(release.files), table_examples(folder)
    for name, media, description in FILES:
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


VOID = "http://rdfs.org/ns/void#"
VOID_FILE = "void.ttl"
# The data sets that ours link to: the prefix of their IRIs, and their titles; the first match
# counts.
TARGETS = {
    "http://metadata.un.org/sdg/codes/geoArea/": "Countries and areas of the United Nations (M49)",
    "http://metadata.un.org/sdg/": "Sustainable Development Goals of the United Nations",
    "http://www.wikidata.org/entity/": "Wikidata",
    "https://ror.org/": "Research Organization Registry",
    "http://publications.europa.eu/resource/authority/": "Authority tables of the European Union",
    "http://id.loc.gov/": "Library of Congress",
    "http://sws.geonames.org/": "GeoNames",
}
# The properties of the totals, and the terms and units of the parts of the dataset.
_TOTALS = {"triples": "triples", "entities": "entities", "subjects": "distinctSubjects"}
_PARTS = {"properties": ("property", "triples"), "classes": ("class", "entities")}

# What is counted (a key of _TOTALS or _PARTS, or links), the IRI of the property or class, the prefix
# of the IRIs of the target of links, and the number.
VoidCount = tuple[str, str, str, int]


def count_void(tables: duckdb.DuckDBPyConnection, iris: Iris) -> list[VoidCount]:
    """Count the triples of the table ``quads``."""
    rows = tables.execute(
        f"""WITH triples AS MATERIALIZED (SELECT DISTINCT s, p, o FROM quads),
        links AS (SELECT p, list_filter($targets, lambda start: starts_with(o, '<' || start))[1] AS target
            FROM triples WHERE starts_with(s, '<{iris.base}') AND starts_with(o, '<http'))
        SELECT 'properties', p[2:-2], '', count(*) FROM triples GROUP BY p
        UNION ALL SELECT 'classes', o[2:-2], '', count(*) FROM triples WHERE p = '<{RDF}type>' GROUP BY o
        UNION ALL SELECT 'links', p[2:-2], target, count(*) FROM links WHERE target IS NOT NULL GROUP BY p, target
        UNION ALL SELECT 'triples', '', '', count(*) FROM triples
        UNION ALL SELECT 'subjects', '', '', count(DISTINCT s) FROM triples
        UNION ALL SELECT 'entities', '', '', count(DISTINCT s) FROM triples
            WHERE p = '<{RDF}type>' AND starts_with(s, '<{iris.base}id/')""",
        {"targets": list(TARGETS)},
    )
    return rows.fetchall()


def void_statements(
    counts: Iterable[VoidCount], iris: Iris, prefixes: dict[str, str]
) -> list[Statement]:
    """Return the statistics of our data set; *prefixes* are used in the names of its parts."""
    by_kind = defaultdict[str, list[tuple[str, str, int]]](list)
    for kind, iri, space, count in sorted(counts):
        by_kind[kind].append((iri, space, count))
    totals = {name: sum(count for *_, count in by_kind[kind]) for kind, name in _TOTALS.items()}
    totals |= {"classes": len(by_kind["classes"]), "properties": len(by_kind["properties"])}
    node = {
        "@id": f"{iris.base}.well-known/void#dataset",
        "rdf:type": f"{VOID}Dataset",
        **{VOID + name: typed_term(count, "integer") for name, count in totals.items() if count},
    }
    for kind, (term, unit) in _PARTS.items():
        node[f"{VOID}{term}Partition"] = [
            {
                "@id": _part(iris, term, iri, prefixes),
                VOID + term: iri,
                VOID + unit: typed_term(count, "integer"),
            }
            for iri, _, count in by_kind[kind]
        ]
    links = (_linkset(iris, *link, prefixes) for link in by_kind["links"])
    return [statement for item in (node, *chain(*links)) for statement in node_statements(item)]


def _linkset(
    iris: Iris, name: str, space: str, count: int, prefixes: dict[str, str]
) -> tuple[Node, Node]:
    """Return the links with the property *name*, and the data set that they lead to."""
    number, dataset = list(TARGETS).index(space) + 1, f"{iris.base}.well-known/void#dataset"
    target = {
        "@id": f"{iris.base}.well-known/void#target-{number}",
        "rdf:type": f"{VOID}Dataset",
        "dct:title": text_term(TARGETS[space], "en"),
        f"{VOID}uriSpace": text_term(space),
    }
    links = {
        "@id": f"{_part(iris, 'links', name, prefixes)}-{number}",
        "rdf:type": f"{VOID}Linkset",
        f"{VOID}subjectsTarget": dataset,
        f"{VOID}objectsTarget": target["@id"],
        f"{VOID}linkPredicate": name,
        f"{VOID}triples": typed_term(count, "integer"),
    }
    return {"@id": dataset, f"{VOID}subset": links}, target


def _part(iris: Iris, kind: str, iri: str, prefixes: dict[str, str]) -> str:
    prefix, space = next(
        ((prefix, space) for prefix, space in prefixes.items() if iri.startswith(space)), ("", "")
    )
    name = f"{prefix}:{iri[len(space) :]}" if space else iri
    return f"{iris.base}.well-known/void#{kind}-{encode(name).replace('/', '%2F')}"
