"""Write journals of generated records, and tables with many more things than their store: copies of
those in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb
import orjson

from demo.records import RecordIndex
from demo.scenario import ScenarioState, registries
from harvesters.mappings.mapping import MAPPINGS
from harvesters.page_model import Record
from harvesters.source import Source
from journal.journal import Journal
from publisher.data.properties import FACETS
from publisher.data.tables import sql
from publisher.store.changes import JournalReader
from publisher.store.columns.database import FILE, WORK, ColumnDatabase
from publisher.store.follow import open_runner
from publisher.store.snapshots import newest_snapshot
from vocab.crosswalks import Crosswalks
from vocab.describe import describe, quads
from vocab.initiative import Claim, Document, Event, Initiative, Post, Prize, Resource, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, Registry, describe_record, describe_source
from vocab.schemes import statements as vocabulary

IRIS = Iris()
TIME = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Source(
    name="demo-ckan",
    title="Simulated portal",
    protocol="ckan",
    mapping="ckan_package",
    url="http://127.0.0.1/ckan",
    licence="https://creativecommons.org/licenses/by/4.0/",
)
_EVENTS = 20  # one record in this many is an event
_FEW = 10  # one document, one post and one prize for this many initiatives
_KINDRED = 20  # copies with their own organizations before they share them again
# A copy's address sorts anywhere among the others; its title and its last change sort last.
_COPIED = "CREATE TEMP MACRO copied(iri, number) AS regexp_replace(iri, '[^/]*$', md5(iri || number) || '~')"
_COPIES = f"""
CREATE OR REPLACE TEMP TABLE those AS SELECT * FROM things WHERE thing <= $last AND (kind < 5 OR $number < {_KINDRED});
INSERT INTO things SELECT thing + $first, md5_number_lower(copied(iri, $number)), copied(iri, $number), kind, source,
    copied(record, $number),
    '~ ' || title, language, other_titles,
    CASE kind WHEN 2 THEN (2026 - $number % 20) || begins[5:] ELSE begins END, ends, issued, first_seen,
    strftime(changed::TIMESTAMP - to_hours($number::INTEGER + thing::INTEGER % 5000), '%Y-%m-%dT%H:%M:%SZ'),
    venue, list_transform(wholes, lambda one: CASE WHEN one LIKE '%/%' THEN copied(one, $number) ELSE one END), page, cancelled,
    lower('~ ' || title),
    title_start(CASE WHEN title IS NULL THEN '2' WHEN language = 'en' THEN '0~ ' ELSE '1~ ' END || coalesce(lower(title), '')) FROM those;
INSERT INTO marks SELECT thing + $first, kind, value, bases FROM marks WHERE thing IN (SELECT thing FROM those);
INSERT INTO organizations SELECT organization + $number * $organizations, md5_number_lower(copied(iri, $number)), copied(iri, $number)
    FROM organizations WHERE organization <= $organizations AND $number < {_KINDRED};
INSERT INTO parties SELECT thing + $first, kind, organization + $number % {_KINDRED} * $organizations, roles
    FROM parties WHERE thing IN (SELECT thing FROM those);
INSERT INTO prizes SELECT thing + $first, kind, category, stage, year FROM prizes WHERE thing <= $last AND $number < {_KINDRED};
INSERT INTO classes SELECT organization + $number * $organizations, code
    FROM classes WHERE organization <= $organizations AND $number < {_KINDRED};
"""

Pages = Mapping[str, Sequence[str]]
ResourceT = TypeVar("ResourceT", bound=Resource)


def write(journal: Journal, records: int) -> None:
    """Write a journal of the vocabulary, a registry with its records, and one of events."""
    events = records // _EVENTS
    rows = (row for graph, triples in vocabulary(IRIS.base) for row in quads(triples, graph))
    journal.append((f"A {row}" for row in rows), run="vocabulary", time=TIME)
    journal.append(_portal(records - events), run=f"{SOURCE.name}.1", time=TIME)
    append(journal, "demo-events", _events(events), TIME)


def append(journal: Journal, source: str, things: Iterable[Resource], time: datetime) -> None:
    """Write an entry of *things* that *source* publishes."""
    about = Provenance(source, f"{source}.1", "fields", "0" * 64, time, time)
    journal.append(
        (row for thing in things for row in _rows(thing, source, about)),
        run=f"{source}.1",
        time=time,
    )


def _rows(thing: Resource, source: str, about: Provenance) -> Iterator[str]:
    triples = [*describe(thing, IRIS, source), *describe_record(thing.key, IRIS, about)]
    yield from (f"A {row}" for row in quads(triples, IRIS.record(source, thing.key)))


def _portal(records: int) -> Iterator[str]:
    registry = Registry(
        SOURCE.name, SOURCE.title, "", SOURCE.url, SOURCE.licence, SOURCE.protocol, SOURCE.mapping, SOURCE.every,
    )  # fmt: skip
    for row in quads(describe_source(registry, IRIS), IRIS.source(SOURCE.name)):
        yield f"A {row}"
    about = Provenance(SOURCE.name, f"{SOURCE.name}.1", SOURCE.mapping, "0" * 32, TIME, TIME)
    mapper = MAPPINGS[SOURCE.mapping].prepare(SOURCE, Crosswalks(IRIS))
    index = RecordIndex(registries(records, 1, ["ckan"])[0], ScenarioState(1, frozenset()))
    with closing(index):
        for position in range(len(index)):
            raw = index.read(position).rstrip(b",\n")
            package = orjson.loads(raw)
            yield from _rows(mapper(Record(package["id"], package, raw)), SOURCE.name, about)


def _linked(thing: ResourceT, number: int) -> ResourceT:
    line = Claim(IRIS.concept("action-line", f"C{1 + number % 6}"))
    goal = Claim(f"http://metadata.un.org/sdg/{1 + number % 17}")
    return replace(thing, action_lines=(line,), goals=(goal,))


def _events(count: int) -> Iterator[Event]:
    for number in range(count):
        title = (Text(f"Forum {number}", "en"),)
        start = f"2026-{1 + number % 12:02d}-01"
        yield _linked(Event(key=str(number), titles=title, start=start), number)


def _others(count: int) -> Iterator[Resource]:
    for number in range(count):
        day = f"{2005 + number % 20}-0{1 + number % 9}-11"
        text = f"What was learnt in village {number}, with its health post and its school"
        title = (Text(text, "en"),)
        yield _linked(Document(key=f"d{number}", titles=title, issued=day), number)
        yield _linked(Post(key=f"p{number}", titles=title, issued=day), number)
        category = IRIS.concept("prize-category", str(1 + number % 18))
        prize = Prize(category, IRIS.concept("prize-stage", "champion"), 2012 + number % 14)
        winner = Initiative(key=f"w{number}", titles=title, start=day, prizes=(prize,))
        yield _linked(winner, number)


def filled(data: Path, stored: int, records: int) -> tuple[Pages, Pages]:
    """Fill *data* with *stored* things and tables of *records*, unless it is filled; return
    addresses of pages by kind of thing, and codes by facet, the most frequent first.
    """
    if not (data / "store" / "crowded").exists():
        journal = Journal(data / "journal")
        few = stored // (_FEW + 3)
        write(journal, stored - 3 * few)
        append(journal, "demo-library", _others(few), TIME + timedelta(minutes=1))
        _load(data, journal)
        _copy(data, records)
        for checksums in (data / "store" / "snapshots").glob("*/checksums.json"):
            # The tables have changed; a snapshot without checksums counts as sound.
            checksums.unlink()
        (data / "store" / "crowded").touch()
    return _known(data)


def _load(data: Path, journal: Journal) -> None:
    reader, head = JournalReader(journal, IRIS.base), journal.head
    assert head
    with closing(open_runner(reader, data / "store", data / "status.nq", IRIS.status)) as follower:
        while (
            (created := newest_snapshot(follower.store.snapshots)) is None
            or created.text != head.number
            or created.columns != head.number
        ):
            follower.step()


def _copy(data: Path, records: int) -> None:
    work = data / "store" / "columns" / WORK
    spilled = work.with_name("spilled")
    with duckdb.connect(str(work)) as connection:
        connection.execute(f"SET memory_limit='2GiB'; SET temp_directory='{spilled}'")
        (last, things, organizations), *_ = connection.execute(
            """SELECT max(thing), count(*) FILTER (kind < 5), (SELECT max(organization) FROM organizations)
            FROM things"""
        ).fetchall()
        (position, entry), *_ = connection.execute(
            "SELECT position, entry FROM checkpoint"
        ).fetchall()
        connection.execute(sql("temporary") + _COPIED)
        for number in range(1, -(-records // things)):
            values = {
                "first": number * last,
                "number": number,
                "last": last,
                "organizations": organizations,
            }
            for line in filter(str.strip, _COPIES.split(";")):
                named = {name: value for name, value in values.items() if f"${name}" in line}
                connection.execute(line, named)
    database = ColumnDatabase(work, IRIS)
    database.begin()
    list(database.apply(()))
    database.commit(position, entry)
    created = newest_snapshot(data / "store" / "snapshots")
    assert created
    columns = Path(created.path) / "columns"
    for file in columns.glob(f"{FILE}*"):
        file.unlink()
    database.copy(columns / FILE)
    database.close()
    shutil.rmtree(spilled, ignore_errors=True)


def _known(data: Path) -> tuple[Pages, Pages]:
    newest = newest_snapshot(data / "store" / "snapshots")
    assert newest
    file = str(Path(newest.path) / "columns" / FILE)
    ranked = """SELECT facet, code FROM marks JOIN codes USING (value) WHERE kind < 5
        GROUP BY facet, code ORDER BY count(*) DESC, code"""
    named = (
        "SELECT iri FROM things WHERE kind = ? AND iri NOT LIKE '%~%' ORDER BY hash(iri) LIMIT 500"
    )
    with duckdb.connect(file, read_only=True) as database:
        codes = database.execute(ranked).fetchall()
        things = {
            kind: [
                iri.replace(f"{IRIS.base}id/", "/page/")
                for (iri,) in database.execute(named, [number]).fetchall()
            ]
            for kind, number in (("initiative", 1), ("organization", 5))
        }
    return things, {
        facet: [code for name, code in codes if name == facet and "/" not in code]
        for facet in FACETS
    }
