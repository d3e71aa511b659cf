"""Check the ledger for damage, by the checks of its database and against the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import sqlalchemy as sa
import zstandard
from sqlalchemy.engine import make_url

from harvesters.errors import HarvestError, LedgerError, SchemaVersionError
from harvesters.ledger import tables as t
from harvesters.ledger.database import metadata
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import State, decompress
from journal.errors import JournalError
from journal.journal import Fault, Journal
from vocab.iris import Iris

_MAX_MESSAGES = 20  # messages of a check by SQLite
_LEDGER_REMEDY = "stop harvests, and restore the ledger from a backup that is as new as the journal (docs: How to back up)"
_ROUND = 1 << 128
_NEWEST = 2**31 - 1  # No entry has a greater number.

# The number of rows of a graph and the sum of their digests, which do not depend on their order.
Tally = tuple[int, int]


def require_intact(url: str) -> None:
    """Raise LedgerError if the SQLite ledger at *url* fails `PRAGMA quick_check`; other databases
    check themselves.

    Takes about a second for each gigabyte. Source:
    https://www.sqlite.org/pragma.html#pragma_quick_check
    """
    if messages := _check_sqlite(url, "quick_check"):
        raise LedgerError(f"ledger: damaged: {messages[0]}; nothing was written; {_LEDGER_REMEDY}")


def ledger_faults(url: str, journal: Journal, base: str) -> Iterator[Fault]:
    """Yield what is damaged in the ledger at *url*: pages of its file, rows, and descriptions that
    are not those of the journal.
    """
    name = Path(make_url(url).database or url).name
    if messages := _check_sqlite(url, "integrity_check"):
        yield from (Fault(name, message, _LEDGER_REMEDY) for message in messages)
        return
    try:
        ledger = Ledger(url)
    except SchemaVersionError:
        raise  # This is no damage, and the message has the remedy.
    except HarvestError as error:
        yield Fault(name, str(error), _LEDGER_REMEDY)
        return
    with closing(ledger):
        try:
            yield from _row_faults(ledger, name, journal, Iris(base))
        except (LedgerError, sa.exc.SQLAlchemyError, ValueError, LookupError) as error:
            yield Fault(name, f"a row cannot be read: {error}", _LEDGER_REMEDY)


def _check_sqlite(url: str, pragma: str) -> list[str]:
    """Return the messages of a check of an SQLite ledger, none if it is undamaged, missing, or
    another database.
    """
    file = make_url(url).database
    if not url.startswith("sqlite") or not file or not Path(file).exists():
        return []
    try:
        with closing(sqlite3.connect(file)) as connection:
            rows = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}({_MAX_MESSAGES})")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if rows == ["ok"] else rows


def _row_faults(ledger: Ledger, name: str, journal: Journal, iris: Iris) -> Iterator[Fault]:
    for table in metadata.sorted_tables:
        for _ in ledger.stream(sa.select(table)):
            # Reading every row raises an error for a value of a wrong type and a damaged page.
            pass
    known, newest = ledger.balance(_NEWEST)[0], journal.position
    if known > newest:
        problem = f"the ledger knows entries up to {known}, the journal has {newest}"
        yield Fault(
            name, problem, "restore the missing entries of the journal from a backup or a mirror"
        )
        return
    published = _published_tallies(journal, iris, set(ledger.graph_iris()))
    yield from _packed_faults(ledger, name)
    for what, graph, packed in _descriptions(ledger, iris):
        if problem := _compare_description(packed, graph, published):
            yield Fault(name, f"{what}: {problem}", _LEDGER_REMEDY)


def _descriptions(ledger: Ledger, iris: Iris) -> Iterator[tuple[str, str, bytes]]:
    """Yield each current description, of a record or a graph of no record, with the graph's IRI;
    without those of sources whose commit the next run completes.
    """
    r, d, g, run = t.record.c, t.description.c, t.graph.c, t.run.c
    committing = sa.select(run.source).where(run.state == State.COMMITTING)
    if not ledger.count(t.run, run.state == State.COMMITTING):
        for graph, packed in ledger.stream(sa.select(g.iri, g.description)):
            yield f"graph {graph}", graph, packed
    join = t.record.outerjoin(t.description, sa.and_(d.run == r.run, d.seq == r.seq))
    query = sa.select(r.source, r.key, d.statements).select_from(join)
    for source, key, packed in ledger.stream(query.where(r.source.not_in(committing))):
        yield f"record {source} {key}", iris.record(source, key), packed


def _compare_description(packed: bytes, graph: str, published: Mapping[str, Tally]) -> str:
    """Return what is wrong with the compressed description of *graph*; "" if it is the one that the
    journal published.
    """
    try:
        tally = _sum_statements(decompress(packed), graph)
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        return f"its description cannot be decompressed: {error}"
    return (
        ""
        if tally == published.get(graph, (0, 0))
        else "its description is not the one that the journal published"
    )


def _packed_faults(ledger: Ledger, name: str) -> Iterator[Fault]:
    """Yield the other compressed values that cannot be decompressed; each has a checksum."""
    for column in (t.undo.c.statements, t.unchanged.c["keys"]):
        for run, packed in ledger.stream(sa.select(column.table.c.run, column)):
            try:
                decompress(packed)
            except (zstandard.ZstdError, UnicodeDecodeError) as error:
                yield Fault(
                    name,
                    f"{column.table.name} of the run {run}: {column.name} cannot be decompressed: {error}",
                    _LEDGER_REMEDY,
                )


def _published_tallies(journal: Journal, iris: Iris, graphs: Collection[str]) -> dict[str, Tally]:
    """Return what the graph of each record, and each of *graphs*, holds by the journal; unreadable
    entries are reported elsewhere.
    """
    tallies: dict[str, Tally] = {}
    prefix, others = iris.record("", "").rstrip("/").encode(), {graph.encode() for graph in graphs}
    try:
        for entry in journal.entries():
            for line in entry.lines():
                graph = line[line.rfind(b" <") + 2 : -4] if line[:2] in (b"A ", b"D ") else b""
                if graph.startswith(prefix) or graph in others:
                    count, total = tallies.get(graph.decode(), (0, 0))
                    sign = 1 if line[:1] == b"A" else -1
                    tallies[graph.decode()] = (
                        count + sign,
                        (total + sign * _digest(line[2:-1])) % _ROUND,
                    )
    except JournalError:
        return tallies
    return tallies


def _sum_statements(description: str, graph: str) -> Tally:
    lines = [f"{line} <{graph}> .".encode() for line in description.split("\n") if line]
    return len(lines), sum(map(_digest, lines)) % _ROUND


def _digest(row: bytes) -> int:
    return int.from_bytes(blake2b(row, digest_size=16).digest())


def has_ledger(url: str) -> bool:
    """Return whether there is a ledger at *url*: opening one would create it."""
    address = make_url(url)
    return not address.drivername.startswith("sqlite") or bool(
        address.database and Path(address.database).is_file()
    )
