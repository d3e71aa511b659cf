"""A world that moves: 380 records of two registries, and a commit that changes some, takes some
away and brings others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pyoxigraph import RdfFormat, parse

from journal.journal import Journal
from vocab.annotations import Deletion, write_tombstone
from vocab.describe import describe, quads
from vocab.initiative import (
    Basis,
    Claim,
    Document,
    Event,
    Initiative,
    Party,
    Picture,
    Place,
    Post,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.provenance import Provenance, Registry, describe_record, describe_source
from vocab.schemes import statements

IRIS = Iris()
FIRST, SECOND, THIRD = (datetime(2026, month, 28, 23, 30, tzinfo=UTC) for month in (3, 4, 4))
KENYA, PERU = (f"http://metadata.un.org/sdg/codes/geoArea/{code}" for code in ("404", "604"))
GONE = f"<{IRIS.operations}gone>"
# graphs of the vocabulary: what records link to, and what pages call it
SCHEMES = {"scheme/action-line", "scheme/coverage", "scheme/status", "labels"}
_ROW = re.compile(rf"([AD]) (.*) <({re.escape(IRIS.base)}record/[^>]*)> \.\Z", re.DOTALL)

RecordStatements = dict[str, frozenset[str]]  # the statements of each record, by its IRI


def initiative(number: int, title: str = "Community network") -> Initiative:
    return Initiative(
        key=f"i/{number}",
        titles=(Text(f"{title} {number}", "en"), Text(f"Réseau «{number}» & <frères>", "fr")),
        descriptions=(Text(f"A village\nbuilds its own network: \"{number}\" \\ 'ok'.", "en"),),
        countries=(KENYA if number % 2 else PERU,),
        parties=(
            Party(Role.LEAD, Text("Ministry of ICT", "en")),
            Party(Role.FUNDER, Text("Fund", "en")),
        ),
        action_lines=(Claim(IRIS.concept("action-line", f"C{1 + number % 6}")),),
        goals=(
            Claim(
                f"http://metadata.un.org/sdg/{1 + number % 17}",
                Basis.CROSSWALKED if number % 3 else Basis.DECLARED,
                "a",
            ),
        ),
        start="2023-01-01",
        issued="2022-05-01",
        pages=("https://example.org/?a=1&b=2",),
        places=(Place(Text("Kisumu", "en"), -0.1, 34.75),),
        licences=("https://creativecommons.org/licenses/by/4.0/",),
    )


def event(number: int, title: str = "Forum") -> Event:
    starts = ("2025-05-01", "2025-05", "2025", "2025-05-01T09:00:00Z")
    ends = ("2025-05-03", None, None, "2025-05-01T17:30:00Z")
    return Event(
        key=f"e{number}",
        titles=(Text(f"{title} {number}; on, digital health", "en"),),
        start=starts[number % 4],
        end=ends[number % 4],
        venue=Text("Geneva, CICG", "en"),
        action_lines=(Claim(IRIS.concept("action-line", "C7-ehea")),),
        cancelled=number == 5,
        registration="https://register.example/4?a=1&b=2" if number == 4 else None,
        picture=Picture("https://other.example/picture/a.webp", Text("A full hall", "en"))
        if number == 4
        else None,
    )


def things() -> list[Resource]:
    rest = [
        Document(key=f"d.{number}", titles=(Text(f"Report {number}", "en"),))
        for number in range(20)
    ]
    posts = [
        Post(key=f"p{number}", titles=(Text(f"Post {number}", None),), content=Text("Hello", "en"))
        for number in range(10)
    ]
    return [*map(initiative, range(200)), *map(event, range(30)), *rest, *posts]


def _described(source: str, resource: Resource, run: str) -> set[str]:
    return {
        *describe(resource, IRIS, source),
        *describe_record(resource.key, IRIS, Provenance(source, run, "oai_dc", "ab" * 32, FIRST, SECOND, datestamp="2026-02-27")),
    }  # fmt: skip


def _put(
    source: str, resource: Resource, run: str, before: Resource | None = None, old: str = "demo.1"
) -> Iterator[str]:
    was = _described(source, before, old) if before else set()
    now = _described(source, resource, run)
    yield from _rows(source, resource.key, was, now)


def _bury(source: str, resource: Resource, run: str) -> Iterator[str]:
    was = _described(source, resource, "demo.1")
    now = write_tombstone(
        resource.key,
        source,
        Deletion(run, THIRD, "its source says that it was deleted"),
        FIRST,
        sorted(was),
        IRIS,
    )
    yield from _rows(source, resource.key, was, {*now})


def _rows(source: str, key: str, was: set[str], now: set[str]) -> Iterator[str]:
    graph = IRIS.record(source, key)
    yield from (f"D {quad}" for quad in quads(sorted(was - now), graph))
    yield from (f"A {quad}" for quad in quads(sorted(now - was), graph))


def begin(data: Path, *, whole: bool = False) -> Journal:
    """Write the journal's first three entries: 260 records of demo, a registry's description and
    the SCHEMES of the vocabulary, or all of it if *whole*, 120 records of alpha.
    """
    journal = Journal(data / "journal")
    journal.append(
        [row for thing in things() for row in _put("demo", thing, "demo.1")],
        run="demo.1",
        time=FIRST,
    )
    licence = "https://creativecommons.org/licenses/by/4.0/"
    registry = Registry(
        "demo",
        "Registry of <demo>",
        "ICT",
        "https://demo.example/",
        licence,
        "oai-pmh",
        "oai_dc",
        "1 * * * *",
    )
    schemes = [
        (graph, lines)
        for graph, lines in statements(IRIS.base)
        if whole or graph.removeprefix(IRIS.base) in SCHEMES
    ]
    graphs = [(IRIS.source("demo"), describe_source(registry, IRIS)), *schemes]
    journal.append(
        [f"A {quad}" for graph, lines in graphs for quad in quads(lines, graph)],
        run="demo.2",
        time=SECOND,
    )
    journal.append(
        [row for n in range(120) for row in _put("alpha", initiative(n, "Alpha"), "alpha.1")],
        run="alpha.1",
        time=SECOND,
    )
    return journal


def move(data: Path) -> set[str]:
    """Commit a run: 40 initiatives and 3 events change, 15 and 1 go, 25 and 2 are new; return the
    IRIs of the records that it touched.
    """
    rows = [
        row
        for n in range(40)
        for row in _put("demo", initiative(n, "Renamed"), "demo.3", initiative(n))
    ]
    rows += [
        row for n in range(3) for row in _put("demo", event(n, "Congress"), "demo.3", event(n))
    ]
    rows += [row for n in range(100, 115) for row in _bury("demo", initiative(n), "demo.3")]
    rows += _bury("demo", event(9), "demo.3")
    rows += [row for n in range(900, 925) for row in _put("demo", initiative(n, "New"), "demo.3")]
    rows += [row for n in range(90, 92) for row in _put("demo", event(n, "New"), "demo.3")]
    Journal(data / "journal").append(rows, run="demo.3", time=THIRD)
    return {match[3] for row in rows if (match := _ROW.match(row))}


def read_graphs(data: Path, upto: int | None = None) -> RecordStatements:
    """Replay the journal: what each record's graph holds after the entry *upto*, whatever any index
    or store of ours says.
    """
    out: dict[str, set[str]] = {}
    for entry in Journal(data / "journal").entries():
        for row in entry.rows() if upto is None or entry.number <= upto else ():
            if match := _ROW.match(row):
                lines = out.setdefault(match[3], set())
                (lines.add if match[1] == "A" else lines.discard)(match[2])
    return {record: plain(lines) for record, lines in out.items()}


def plain(lines: Iterable[str]) -> frozenset[str]:
    """Write statements as the engine writes them, so that two are equal as texts when they are
    equal.
    """
    return frozenset(
        str(quad.triple)
        for quad in parse("".join(f"{line} .\n" for line in lines).encode(), RdfFormat.N_TRIPLES)
    )


def alive(all_: RecordStatements) -> RecordStatements:
    return {record: lines for record, lines in all_.items() if not is_gone(lines)}


def is_gone(lines: frozenset[str]) -> bool:
    return any(line.endswith(GONE) for line in lines)
