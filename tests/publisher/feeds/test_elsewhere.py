"""Feeds over a store by URL: a harvest of it is as exact as of our own store, before and after a
commit.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed_clients import Got, by_sickle, shown_count, wait
from live_server import served
from mutating_source import begin, is_gone, move, read_graphs
from processes import free_port, started, wait_for_url


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a store of its own; return the settings that name it."""
    program = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or shutil.which(
        "oxigraph"
    )
    if program is None:
        pytest.skip("no oxigraph")
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [program, "serve", "--location", str(tmp_path / "store"), "--bind", f"127.0.0.1:{port}"]
    with started(line) as store:
        wait_for_url(f"{url}/query?query=ASK%7B%7D", store)
        names = {"SPARQL_URL": "query", "SPARQL_UPDATE_URL": "update", "GRAPH_STORE_URL": "store"}
        yield {f"STOCKTAKE_{name}": f"{url}/{path}" for name, path in names.items()}


def test_a_harvest_over_a_store_by_url_has_all_there_is_before_and_after_a_commit(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    data = tmp_path / "data"
    begin(data)
    with served(
        data,
        {
            "STOCKTAKE_QUERY_LIMITS": "budget=0, each=0",
            "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
            **elsewhere,
        },
    ) as url:
        wait(lambda: shown_count(url) == 380)
        before, first = read_graphs(data), Got(list(by_sickle(url)))
        move(data)
        wait(lambda: shown_count(url) == 466)
        second = Got(list(by_sickle(url)))

    for state, got in ((before, first), (read_graphs(data), second)):
        assert got.last == {
            record: None if is_gone(lines) else lines for record, lines in state.items()
        }
