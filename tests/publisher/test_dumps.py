"""Dumps are written from the journal alone, equal the quads of the store, and are sent in parts."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_client import asking
from column_store import write_columns
from pyoxigraph import RdfFormat, parse
from rows import each

from journal.journal import Journal
from publisher.app import create_app
from publisher.catalog.portals import search_packages
from publisher.releases import dump as module
from publisher.releases.dump import canonical_quads, list_dumps, write_dumps
from publisher.store.changes import rows_of
from publisher.store.columns.database import open_statements
from publisher.store.query_service import QueryService
from vocab.iris import Iris

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def journal_of(folder: Path, *entries: Iterable[str]) -> Journal:
    journal = Journal(folder)
    for number, rows in enumerate(entries):
        journal.append(rows, run=f"run-{number}", time=WHEN)
    return journal


def quad(number: int) -> str:
    return f'<https://x.org/s> <https://x.org/p> "{number}" <https://x.org/g> .'


def stored(journal: Journal, folder: Path) -> list[bytes]:
    rows = (row for entry in journal.entries() for row in rows_of(entry))
    with open_statements(write_columns(rows, folder)) as statements:
        return sorted(f"{quad} .\n".encode() for quad in statements.quads())


def test_the_dump_is_the_sorted_dump_of_the_store(world: Path, tmp_path: Path) -> None:
    journal = Journal(world / "journal")

    assert list(canonical_quads(journal, 3)) == stored(journal, tmp_path)


def test_the_last_word_on_a_quad_counts(tmp_path: Path) -> None:
    journal = journal_of(
        tmp_path,
        [f"A {quad(1)}", f"A {quad(2)}"],
        [f"D {quad(1)}", f"A {quad(3)}"],
        [f"D {quad(3)}", f"A {quad(1)}", f"D {quad(2)}"],
    )

    results = {
        position: [line.split(b'"')[1] for line in canonical_quads(journal, position)]
        for position in (1, 2, 3)
    }

    assert results == {1: [b"1", b"2"], 2: [b"2", b"3"], 3: [b"1"]}


def test_many_sorted_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUN_LENGTH", 3)
    journal = journal_of(
        tmp_path,
        [f"A {quad(n)}" for n in range(50, 0, -1)],
        [f"D {quad(n)}" for n in range(1, 51, 2)],
    )

    assert list(canonical_quads(journal, 2)) == stored(journal, tmp_path / "columns")


def test_a_dump_made_twice_has_the_same_bytes_and_a_sum_beside_it(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "journal", [f"A {quad(n)}" for n in range(9)])

    first, second = [list(write_dumps(journal, tmp_path / name)) for name in ("one", "two")]

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    for file, checksum in (first[:2], first[2:4]):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert checksum.read_text() == f"{digest}  {file.name}\n"
    assert [path.name for path in first[::2]][:2] == ["stocktake-1.nq.gz", "stocktake-1.ttl.gz"]
    assert not list((tmp_path / "one").glob("*.part"))


def test_the_turtle_holds_each_triple_once(tmp_path: Path) -> None:
    journal = journal_of(
        tmp_path / "journal", [f"A {quad(1)}", f"A {quad(1).replace('/g>', '/h>')}"]
    )

    turtle = write_dumps(journal, tmp_path / "dumps")[2]

    assert len(list(parse(gzip.decompress(turtle.read_bytes()), RdfFormat.TURTLE))) == 1


async def _client(world: Path, tmp_path: Path) -> httpx.AsyncClient:
    shutil.copytree(world / "journal", tmp_path / "journal")
    write_dumps(Journal(tmp_path / "journal"), tmp_path / "dumps")
    app = create_app(QueryService(tmp_path, Iris(), follow=False))
    client: httpx.AsyncClient = asking(app)
    return client


def test_a_damaged_sum_is_not_shown_and_stops_no_page(world: Path, tmp_path: Path) -> None:
    dump, *_ = write_dumps(Journal(world / "journal"), tmp_path)
    sums = dump.with_name(f"{dump.name}.sha256")
    sums.write_bytes(bytes(byte ^ 0xFF for byte in sums.read_bytes()))

    digests = {file.name: file.digest for file in list_dumps(tmp_path)}
    assert digests.pop(dump.name) == ""
    assert "" not in digests.values()


async def test_a_part_of_a_dump_is_served_and_nothing_else(world: Path, tmp_path: Path) -> None:
    async with await _client(world, tmp_path) as client:
        part = await client.get("/dumps/stocktake-3.nq.gz", headers={"Range": "bytes=2-5"})
        for name in ("none.gz", "..%2Fstatus.nq", "stocktake-9.nq.gz", "stocktake-3.nq.gz.part"):
            assert (await client.get(f"/dumps/{name}")).status_code == 404, name

    assert part.status_code == 206
    assert part.content == (tmp_path / "dumps" / "stocktake-3.nq.gz").read_bytes()[2:6]


@each(
    "package_search, names",
    [({"q": "*:*", "rows": 1}, ["b"]), ({"q": "*:*", "rows": 1, "start": 1}, ["c"]),
     ({"sort": "name asc"}, ["a", "b", "c"]), ({"sort": "title desc, name asc"}, ["b", "a", "c"]),
     ({"q": "health"}, ["a"]), ({"q": '"HEALTH" network'}, []),
     ({"fq": "metadata_modified:[2026-02-01T00:00:00Z TO *]"}, ["b", "c"]),
     ({"q": "metadata_modified:[* TO 2026-01-31T00:00:00Z]"}, ["a"])],
)  # fmt: skip
def test_packages_are_searched_as_ckan_does(
    package_search: dict[str, Any], names: list[str]
) -> None:
    results: list[dict[str, object]] = [
        {"id": "1", "name": "a", "title": "A", "notes": "health", "author": "", "tags": [], "metadata_modified": "2026-01-01T00:00:00"},
        {"id": "2", "name": "b", "title": "B", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-03-01T00:00:00"},
        {"id": "3", "name": "c", "title": "A", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-02-01T00:00:00"},
    ]  # fmt: skip

    answer = search_packages(results, **package_search)

    assert [item["name"] for item in answer["results"]] == names  # type: ignore[attr-defined]
