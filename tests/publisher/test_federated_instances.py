"""Two Stocktakes that harvest each other, one of them from a third: what is new, changed and gone
comes over, and nothing echoes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import orjson
import pytest
from feed_clients import wait
from live_server import served

from harvesters.network.settings import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.harvest import harvest
from harvesters.source import Source, parse
from vocab.terms import DCT, PROV, SCHEMA

LICENCE = "https://k.example/licence"
LOOSE = {"vanished": 1, "changed": 1, "withheld": 1}
DEFINITION: dict[str, Any] = {
    "title": "Projects", "publisher": "Ministry of ICT", "protocol": "json", "mapping": "fields", "url": "https://k.example/all",
    "licence": LICENCE, "fields": {"key": "id", "title@en": "name", "goals": "sdgs", "lead": "owner"}, "limits": LOOSE, "pause": 0,
}  # fmt: skip


@dataclass
class Stocktake:
    """One of the two: its context, its address, and what its registry holds."""

    context: HarvestContext
    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def harvest_own(self) -> int:
        """Harvest its own registry; return the number of the newest entry."""
        there = httpx.MockTransport(self._answer)
        network = replace(self.context.network, transport=there)
        source = parse("ministry", DEFINITION, "test")
        harvest(source, replace(self.context, network=network), full=True)
        return self.newest

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        return httpx.Response(200, content=orjson.dumps(self.rows))

    def harvest(self, other: Stocktake, name: str) -> dict[str, int]:
        """Harvest the other; return what the run would have counted."""
        outcomes = harvest(sibling(other.url, name), self.context).outcomes
        return {outcome.value: count for outcome, count in outcomes.items() if count}

    @property
    def newest(self) -> int:
        return self.context.journal.head.number if self.context.journal.head else 0

    def graphs(self) -> dict[str, list[str]]:
        """Replay the journal: the statements of each record that is there."""
        out, gone = dict[str, set[str]](), f"{self.context.iris.operations}gone>"
        for entry in self.context.journal.entries():
            for row in entry.rows():
                line, _, graph = row[2:-3].rpartition(" <")
                lines = out.setdefault(graph, set())
                (lines.add if row[0] == "A" else lines.discard)(line)
        return {
            graph: sorted(lines)
            for graph, lines in out.items()
            if "/record/" in graph and not any(gone in line for line in lines)
        }

    def titles(self) -> dict[str, str]:
        """Return the title of each record that is there, by its name."""
        before = f"{self.context.iris.base}record/"
        results = (
            (graph, line.partition(f"> <{DCT}title> ")[2])
            for graph, lines in self.graphs().items()
            for line in lines
        )
        return {
            graph.removeprefix(before): title.split('"')[1] for graph, title in results if title
        }


def sibling(url: str, name: str) -> Source:
    definition = {
        "title": f"Records of {name}", "protocol": "stocktake", "mapping": "stocktake_record", "url": url, "licence": LICENCE,
    }  # fmt: skip
    return parse(f"from-{name}", {**definition, "pause": 0, "limits": LOOSE}, "test")


def project(number: int, name: str = "") -> dict[str, Any]:
    return {
        "id": f"p/{number}",
        "name": name or f"Project {number}",
        "sdgs": "SDG 4",
        "owner": "Ministry",
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocktake, Stocktake]]:
    with ExitStack() as stack:
        both = []
        network = NetworkSettings("operator@example.org", frozenset({"127.0.0.1"}))
        for name in ("a", "b"):
            data, base = tmp_path_factory.mktemp(name), f"https://{name}.example/"
            ledger = f"sqlite:///{data}/ledger.sqlite"
            context = stack.enter_context(open_context(data, ledger, base, network))
            rows = [project(number, f"{name.upper()} {number}") for number in range(1, 4)]
            stocktake = Stocktake(context, rows=rows)
            stocktake.harvest_own()
            stocktake.url = stack.enter_context(served(data, {"STOCKTAKE_BASE": base}))
            both.append(stocktake)
        yield both[0], both[1]


def test_what_is_new_changed_and_gone_comes_over_and_nothing_goes_round(
    two: tuple[Stocktake, Stocktake],
) -> None:
    a, b = two

    first = b.harvest(a, "a"), a.harvest(b, "b")
    a.rows = [project(1, "A 1"), project(2, "A two"), project(4, "A 4")]
    for _ in range(3):  # gone is what three full harvests in a row have missed
        a.harvest_own()
    # its feed is level with its journal
    wait(lambda: httpx.get(f"{a.url}/ldes/version/{a.newest}/ministry/p%2F3").status_code == 200)
    second = b.harvest(a, "a")
    rest = [a.harvest(b, "b"), b.harvest(a, "a")]
    entries = a.newest, b.newest
    rest += [
        item.harvest(other, name)
        for _ in range(2)
        for item, other, name in ((a, b, "b"), (b, a, "a"))
    ]

    assert [counts["new"] for counts in first] == [3, 3]
    assert second == {"new": 1, "changed": 1, "deleted": 1}
    assert (a.newest, b.newest) == entries
    assert not any(counts.keys() & {"new", "changed", "deleted"} for counts in rest)
    own_a, own_b = {"1": "A 1", "2": "A two", "4": "A 4"}, {"1": "B 1", "2": "B 2", "3": "B 3"}
    assert a.titles() == named("ministry/p%2F", own_a) | named("from-b/ministry%2Fp%2F", own_b)
    assert b.titles() == named("ministry/p%2F", own_b) | named("from-a/ministry%2Fp%2F", own_a)


def named(before: str, titles: dict[str, str]) -> dict[str, str]:
    return {before + name: title for name, title in titles.items()}


def test_what_came_over_keeps_where_it_came_from_whom_to_name_and_its_licence(
    two: tuple[Stocktake, Stocktake],
) -> None:
    a, b = two

    b.harvest(a, "a")

    record = "https://b.example/record/from-a/ministry%2Fp%2F1"
    theirs = "https://a.example/record/ministry/p%2F1"
    statements = b.graphs()[record]
    assert {
        f"<{record}> <{PROV}wasDerivedFrom> <{theirs}>",
        f"<{record}> <{PROV}hadPrimarySource> <{theirs}>",
        f'<{record}> <{SCHEMA}creditText> "Projects, Ministry of ICT"',
        f"<https://b.example/id/initiative/from-a/ministry%2Fp%2F1> <{DCT}license> <{LICENCE}>",
    } <= set(statements)
