"""`store verify` compares the store with the journal graph by graph; `store rebuild` builds it again."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from followers import follower
from publish_fixture import copy_data
from pyoxigraph import Literal, NamedNode, Quad, Store
from typer.testing import CliRunner, Result

from publisher.rdf import term_id
from publisher.store.columns.database import FILE
from publisher.store.snapshots import newest_snapshot
from stocktake import app
from vocab.iris import BASE

LABEL = NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
RECORD = NamedNode(f"{BASE}record/demo/3")


@pytest.fixture
def data(small: Path, tmp_path: Path) -> Path:
    """Return a copy of a small world whose store is up to date with its journal."""
    result: Path = copy_data(small, tmp_path / "data", "store")
    return result


def _spoil(data: Path) -> None:
    """Delete a quad from the columns of the newest snapshot; add a stray triple to its store."""
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot
    with duckdb.connect(f"{snapshot.path}/columns/{FILE}") as columns:
        columns.execute(
            "DELETE FROM quads WHERE rowid = (SELECT min(rowid) FROM quads WHERE g = ?)",
            [term_id(str(RECORD))],
        )
    Store(f"{snapshot.path}/store").add(Quad(NamedNode("urn:x"), LABEL, Literal("astray")))


def _run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--data", str(data), "store", *words])


def test_a_store_that_is_level_is_what_the_journal_says(data: Path) -> None:
    completed = _run(data, "verify", "--json")

    assert (completed.exit_code, json.loads(completed.stdout)) == (0, {"position": 3, "graphs": []})
    assert completed.stderr.splitlines() == [
        "reading the journal up to entry 3 ...",
        "reading the store ...",
        "comparing ...",
    ]


def test_what_differs_is_reported_by_graph_and_repaired_and_shown(data: Path) -> None:
    _spoil(data)

    broken = _run(data, "verify", "--json")
    completed = _run(data, "rebuild")
    again = _run(data, "verify")

    assert json.loads(broken.stdout)["graphs"] == [RECORD.value, ""]
    assert (broken.exit_code, completed.exit_code, again.exit_code) == (1, 0, 0)
    assert "Graphs that differ from the journal at entry 3: 0" in again.stdout
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot is not None
    store = Store.read_only(f"{snapshot.path}/store")
    assert [*store.quads_for_pattern(NamedNode("urn:x"), None, None, None)] == []


def test_a_store_is_made_anew(data: Path) -> None:
    _spoil(data)

    completed = _run(data, "rebuild", "--json")

    assert completed.exit_code == 0
    assert json.loads(completed.stdout) == {"position": 3, "graphs": []}


def test_a_store_that_a_server_follows_is_not_repaired_beside_it(data: Path) -> None:
    _spoil(data)
    spoiled = follower(data)

    completed = _run(data, "rebuild")
    spoiled.close()

    assert completed.exit_code == 1
    assert "a server uses this data folder" in str(completed.exception)


def test_without_a_store_there_is_nothing_to_compare(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path)

    completed = _run(tmp_path, "verify")
    created = _run(tmp_path, "rebuild")

    assert (completed.exit_code, created.exit_code) == (1, 0)
    assert "no store yet" in str(completed.exception)
