"""Crowded tables: a store of a generated world, whose tables hold many more things than its store,
as copies of those in it.

A copy has its original's marks, dates and parties; its organizations are shared by one copy in
KINDRED, so that there are more of them the more things there are. Its title and its last change
come behind all of the store's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.feeds import events
from benchmarks.payloads import IRIS
from benchmarks.release import write
from journal.journal import Journal
from publisher.projections.facets.facets import FACETS
from publisher.projections.projection import JournalReader
from publisher.store.columns.database import ColumnDatabase
from publisher.store.columns.updater import FILE, WORK
from publisher.store.follow import open_runner
from publisher.store.snapshots import newest_snapshot
from vocab.initiative import Claim, Document, Initiative, Post, Prize, Resource, Text
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import Provenance, describe_record

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_OTHERS = "demo-library"
_FEW = 10  # one document, one post, one prize and one event to so many initiatives
KINDRED = 20  # copies that have organizations of their own before they are shared again
# A copy's address stands anywhere among the others.
_COPIED = "CREATE TEMP MACRO copied(iri, number) AS regexp_replace(iri, '[^/]*$', md5(iri || number) || '~')"
_COPIES = f"""
CREATE OR REPLACE TEMP TABLE those AS SELECT * FROM things WHERE thing <= $last AND (kind < 5 OR $number < {KINDRED});
INSERT INTO things SELECT thing + $first, copied(iri, $number), kind, source, copied(record, $number),
    '~ ' || title, language, other_titles,
    CASE kind WHEN 2 THEN (2026 - $number % 20) || begins[5:] ELSE begins END, ends, issued, first_seen,
    strftime(changed::TIMESTAMP - to_hours($number::INTEGER + thing::INTEGER % 5000), '%Y-%m-%dT%H:%M:%SZ'),
    venue, list_transform(wholes, lambda one: CASE WHEN one LIKE '%/%' THEN copied(one, $number) ELSE one END), page, cancelled FROM those;
INSERT INTO marks SELECT thing + $first, kind, value, bases FROM marks WHERE thing IN (SELECT thing FROM those);
INSERT INTO parties SELECT thing + $first, kind,
    CASE $number % {KINDRED} WHEN 0 THEN organization ELSE copied(organization, $number % {KINDRED}) END, roles
    FROM parties WHERE thing IN (SELECT thing FROM those);
INSERT INTO prizes SELECT thing + $first, kind, category, stage, year FROM prizes WHERE thing <= $last AND $number < {KINDRED};
INSERT INTO classes SELECT copied(organization, $number), code FROM classes WHERE organization NOT LIKE '%~' AND $number < {KINDRED};
"""

Pages = Mapping[str, Sequence[str]]


def filled(
    data: Path, stored: int, records: int, report: Callable[[str], None]
) -> tuple[Pages, Pages]:
    """Fill *data*, unless it is; return addresses of pages by kind of thing, and codes by facet,
    the most frequent first.
    """
    if not (data / "store" / "crowded").exists():
        report(f"writing {stored:,} things")
        _journal(Journal(data / "journal"), stored)
        report("loading them into the store, the tables and the index of texts")
        _loaded(data)
        report(f"filling the tables up to {records:,} things")
        _copied(data, records, report)
        for checksums in (data / "store" / "snapshots").glob("*/checksums.json"):
            # the tables are others now; a snapshot without checksums counts as sound
            checksums.unlink()
        (data / "store" / "crowded").touch()
    return _known(data)


def _journal(journal: Journal, stored: int) -> None:
    few = stored // (_FEW + 4)
    write(journal, stored - 4 * few)
    events(journal, few)
    about = Provenance(_OTHERS, f"{_OTHERS}.1", "fields", "0" * 64, _TIME, _TIME)

    def rows() -> Iterator[str]:
        for other in _others(few):
            triples = [*describe(other, IRIS, _OTHERS), *describe_record(other.key, IRIS, about)]
            yield from (f"A {row}" for row in quads(triples, IRIS.record(_OTHERS, other.key)))

    journal.append(rows(), run=f"{_OTHERS}.1", time=_TIME + timedelta(minutes=1))


def _others(count: int) -> Iterator[Resource]:
    for number in range(count):
        line = Claim(IRIS.concept("action-line", f"C{1 + number % 6}"))
        goal = Claim(f"http://metadata.un.org/sdg/{1 + number % 17}")
        issued = f"{2005 + number % 20}-0{1 + number % 9}-11"
        prize = IRIS.concept("prize-category", str(1 + number % 18))
        text = (
            Text(f"What was learnt in village {number}, with its health post and its school", "en"),
        )
        yield Document(
            key=f"d{number}", titles=text, issued=issued, action_lines=(line,), goals=(goal,)
        )
        yield Post(
            key=f"p{number}", titles=text, issued=issued, action_lines=(line,), goals=(goal,)
        )
        won = (Prize(prize, IRIS.concept("prize-stage", "champion"), 2012 + number % 14),)
        yield Initiative(
            key=f"w{number}",
            titles=text,
            start=issued,
            action_lines=(line,),
            goals=(goal,),
            prizes=won,
        )


def _loaded(data: Path) -> None:
    journal = Journal(data / "journal")
    follower = open_runner(
        JournalReader(journal, IRIS.base), data / "store", data / "status.nq", IRIS.status
    )
    head = journal.head
    assert head
    try:
        while (
            (created := newest_snapshot(follower.snapshots)) is None
            or created.text != head.number
            or created.columns != head.number
        ):
            follower.step()
    finally:
        follower.close()


def _copied(data: Path, records: int, report: Callable[[str], None]) -> None:
    work = data / "store" / "columns" / WORK
    with duckdb.connect(
        str(work), config={"memory_limit": "2GiB", "temp_directory": str(work.with_name("spilled"))}
    ) as connection:
        row = connection.execute(
            "SELECT max(thing), count(*) FILTER (kind < 5) FROM things"
        ).fetchone()
        assert row
        last, things = row
        position, entry = connection.execute("SELECT position, entry FROM checkpoint").fetchall()[0]
        connection.execute(_COPIED)
        for number in range(1, -(-records // things)):
            for line in filter(str.strip, _COPIES.split(";")):
                asked = {"first": number * last, "number": number, "last": last}
                connection.execute(
                    line, {name: value for name, value in asked.items() if f"${name}" in line}
                )
    report("preparing them")
    since = time.perf_counter()
    database = ColumnDatabase(work, IRIS)
    database.begin()
    list(database.apply(()))
    database.commit(position, entry)
    report(f"that took {time.perf_counter() - since:,.1f} s")
    created = newest_snapshot(data / "store" / "snapshots")
    assert created
    published = data / "store" / "columns" / "shown"
    for file in published.glob(f"{FILE}*"):
        file.unlink()
    database.copy(published / FILE)
    database.close()
    shutil.rmtree(Path(created.path) / "columns")
    shutil.copytree(published, Path(created.path) / "columns", copy_function=os.link)
    shutil.rmtree(work.with_name("spilled"), ignore_errors=True)


def _known(data: Path) -> tuple[Pages, Pages]:
    with duckdb.connect(
        str(data / "store" / "columns" / "shown" / FILE), read_only=True
    ) as database:
        ranked = database.execute(
            "SELECT facet, code FROM marks JOIN codes USING (value) WHERE kind < 5 GROUP BY facet, code ORDER BY count(*) DESC, code"
        ).fetchall()
        named = "SELECT iri FROM things WHERE kind = ? AND iri NOT LIKE '%~%' ORDER BY hash(iri) LIMIT 500"
        results = {
            kind: database.execute(named, [number]).fetchall()
            for kind, number in (("initiative", 1), ("organization", 5))
        }
    stem = f"{IRIS.base}id/"
    things = {
        kind: [f"/page/{iri.removeprefix(stem)}" for (iri,) in rows]
        for kind, rows in results.items()
    }
    return things, {
        facet: [code for name, code in ranked if name == facet and "/" not in code]
        for facet in FACETS
    }
