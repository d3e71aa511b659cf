"""RML: the same statements by morph-kgc (https://github.com/morph-kgc/morph-kgc), in an environment
of its own.

It is given more than a registry gives: a table whose cells are ready IRIs and texts, so that it has
only triples to make.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.graph_comparison import Parts

_RML = "http://w3id.org/rml/"
_RUN = """
import sys, time, morph_kgc
since = time.perf_counter()
made = morph_kgc.materialize_set(sys.argv[1])
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.writelines(f"{triple} .\\n" for triple in made)
print(time.perf_counter() - since)
"""


class NotThere(Exception):
    """morph-kgc cannot be had; the message says why."""


def environment(folder: Path) -> Path:
    """Return the Python of an environment below *folder* that has morph-kgc, made if need be;
    raises NotThere.
    """
    home = folder / "morph-kgc"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    if subprocess.run(
        [python, "-c", "import morph_kgc"], capture_output=True, check=False
    ).returncode:
        process = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "morph-kgc"],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise NotThere((process.stderr.strip().splitlines() or ["pip failed"])[-1])
    return python


# which subject of the record, predicate, kind of value, which of such values
Column = tuple[int, str, str, int]


def rows(described: Iterable[list[Parts]]) -> Iterator[dict[Column | int, Parts]]:
    """Lay each record's statements into one row: a cell for its first title, its second, and so on."""
    for record in described:
        subjects = {
            subject: number
            for number, subject in enumerate(dict.fromkeys(item.subject for item in record))
        }
        counts: Counter[tuple[int, str, str]] = Counter()
        row: dict[Column | int, Parts] = {}
        for item in record:
            kind = (
                "iri"
                if item.iri is not None
                else "language"
                if item.language
                else item.datatype or "text"
            )
            position = (subjects[item.subject], item.predicate, kind)
            counts[position] += 1
            row[(*position, counts[position])] = item
            row[subjects[item.subject]] = item
        yield row


def write(described: list[list[Parts]], folder: Path) -> Path:
    """Write table, RML mapping and configuration into *folder*; return the configuration."""
    table = list(rows(described))
    columns = sorted({column for row in table for column in row if isinstance(column, tuple)})
    names = {column: f"c{number}" for number, column in enumerate(columns)}
    with (folder / "records.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            [f"s{number}" for number in range(_subjects(columns))]
            + [name for item in columns for name in _heads(item, names[item])]
        )
        for row in table:
            out.writerow(_cells(row, columns))
    (folder / "mapping.ttl").write_text(
        _mapping(columns, names, folder / "records.csv"), encoding="utf-8"
    )
    config = folder / "config.ini"
    config.write_text(
        f"[CONFIGURATION]\nnumber_of_processes: 1\nlogging_level: ERROR\n[records]\nmappings: {folder / 'mapping.ttl'}\n"
    )
    return config


def _subjects(columns: Iterable[Column]) -> int:
    return 1 + max(column[0] for column in columns)


def _heads(column: Column, name: str) -> list[str]:
    return [name, f"{name}l"] if column[2] == "language" else [name]


def _cells(row: dict[Column | int, Parts], columns: list[Column]) -> Iterator[str]:
    for number in range(_subjects(columns)):
        yield row[number].subject if number in row else ""
    for column in columns:
        item = row.get(column)
        yield (item.text if item.iri is None else item.iri) if item else ""
        if column[2] == "language":
            yield (item.language or "") if item else ""


def _mapping(columns: list[Column], names: dict[Column, str], table: Path) -> str:
    source = f'rml:logicalSource [ rml:source "{table}" ; rml:referenceFormulation rml:CSV ]'
    maps = [f"@prefix rml: <{_RML}> .\n@prefix rr: <http://www.w3.org/ns/r2rml#> .\n"]
    for subject in range(_subjects(columns)):
        verbs = "".join(
            f" ;\n  {_verb(column, names[column])}" for column in columns if column[0] == subject
        )
        maps.append(
            f'<urn:map:{subject}> {source} ;\n  rml:subjectMap [ rml:reference "s{subject}" ; rml:termType rml:IRI ]{verbs} .\n'
        )
    return "\n".join(maps)


def _verb(column: Column, name: str) -> str:
    kind = column[2]
    more = {
        "iri": "rml:termType rml:IRI",
        "language": f'rml:languageMap [ rml:reference "{name}l" ]',
        "text": "rml:termType rml:Literal",
    }
    value = (
        f'rml:objectMap [ rml:reference "{name}" ; {more.get(kind) or f"rml:datatype <{kind}>"} ]'
    )
    return f"rml:predicateObjectMap [ rml:predicate <{column[1]}> ; {value} ]"


def run_mapper(python: Path, config: Path, out: Path) -> float:
    """Have morph-kgc write its triples to *out*; return its seconds without its start."""
    process = subprocess.run(
        [python, "-c", _RUN, config, out], capture_output=True, text=True, check=False
    )
    if process.returncode:
        print(process.stderr[-2000:], file=sys.stderr)
        raise NotThere((process.stderr.strip().splitlines() or ["it failed"])[-1])
    return float(process.stdout.split()[-1])
