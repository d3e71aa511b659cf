"""Every real payload, by itself, to the protocol and mapping of its kind: how many records came, were mapped, and passed the checks.

Run as a program it prints the same with the reasons: ``python tests/harvesters/test_every_payload.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import replay

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch, Patience
from harvesters.pairs import pair
from harvesters.record import Record
from harvesters.source import parse
from shapes.result import Severity
from shapes.validate import judge
from vocab.crosswalks import Crosswalks
from vocab.describe import describe
from vocab.iris import Iris

CARD = {"title": "T", "url": "https://registry.example/a.json", "licence": "https://a.example/l", "pause": 0, "language": "en"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
COPY = {"title": "PROJECT_NAME", "key": "ID", "subjects": "SctrCluster"}


@dataclass(frozen=True)
class Kind:
    """Files, who reads them, and what is true: files that were read, records that came, were mapped, and passed the checks."""

    files: str
    protocol: str
    mapping: str
    truth: tuple[int, int, int, int]
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


KINDS = (
    Kind("ckan/*.json", "ckan", "ckan_package", (7, 8, 8, 8)),
    Kind("datajson/*.json", "pod", "dcat", (5, 12, 12, 12)),
    Kind("dcat/*", "rdf", "dcat", (14, 16, 16, 16)),
    Kind("nde/*dcat*.json*", "rdf", "dcat", (10, 10, 9, 9)),
    Kind("nde/*schema*", "rdf", "schema_org", (14, 14, 14, 14)),
    Kind("dpg/nominees/*.json", "json", "dpg_nominee", (228, 228, 228, 228), {"key": "name"}),
    Kind("dpg/archive/*.json", "json", "dpg_nominee", (486, 486, 486, 486), {"key": "name"}),
    Kind("html/*", "web", "schema_org", (7, 23, 23, 23)),
    Kind("iati/*standard*.xml", "iati", "iati_activity", (1, 1, 1, 1), {"file": True}),
    Kind("ical/*", "ical", "ical_event", (51, 299, 275, 273)),
    Kind("rss/*", "feed", "feed_entry", (21, 20, 12, 7)),
    Kind("tabular/projects.csv", "csv", "fields", (1, 140, 140, 140), {"group": True}, COPY),
    Kind("tabular/cordis*.csv", "csv", "fields", (1, 3, 3, 3), {}, {"title": "title", "key": "id"}),
    Kind("tabular/book.xls", "spreadsheet", "fields", (1, 1, 1, 1), {}, {"title": "text", "key": "numeric"}),
    Kind("worldbank/*.json", "json", "fields", (2, 20, 20, 20), {"records": "projects"}, {"title": "project_name", "key": "id"}),
    Kind("broken/*.xml", "feed", "feed_entry", (26, 10, 1, 0)),
    Kind("broken/*.ics", "ical", "ical_event", (2, 2, 0, 0)),
)


def counted(kind: Kind, words: Crosswalks) -> tuple[tuple[int, int, int, int], Counter[str]]:
    """Count what becomes of all files of a kind, and why the rest does not."""
    given = {"protocol": kind.protocol, "mapping": kind.mapping, "options": dict(kind.options), "fields": dict(kind.fields)}
    source = parse("a", {**CARD, **given}, "a")
    read = pair(source)[1].prepare(source, words)
    reasons: Counter[str] = Counter()
    files = came = 0
    told: list[list[str]] = []
    for file in sorted(replay.FEEDS.glob(kind.files)):
        try:
            items = list(_items(source, file))
        except HarvestError as error:
            reasons[f"{file.name}: {error}"] += 1
            continue
        files, came = files + 1, came + len(items)
        for item in items:
            try:
                told.append(describe(read(item), Iris(), "a") if isinstance(item, Record) else [])
            except ParseError as error:
                reasons[f"{file.name}: {error}"] += 1
            if not isinstance(item, Record):
                reasons[f"{file.name}: {getattr(item, 'reason', 'gone')}"] += 1
    mapped = [lines for lines in told if lines]
    verdicts = judge(mapped)
    faults = [[it for it in results if it.severity is Severity.VIOLATION] for results in verdicts]
    reasons.update(f"withheld: {it.message}" for found in faults for it in found[:1])
    return (files, came, len(mapped), sum(not found for found in faults)), reasons


def _items(source: Any, file: Path) -> Iterator[Any]:
    content = file.read_bytes()

    def there(asked: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content) if asked.url.path == "/a.json" else httpx.Response(404)

    with Fetch(pause=0, robots=False, transport=httpx.MockTransport(there), patience=Patience(tries=1)) as fetch:
        fetch.now = lambda: NOW  # which decides how far ahead series are told
        for page in pair(source)[0].collect(source, fetch, None):
            yield from page.items


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.files} by {kind.protocol}")
def test_every_real_payload_of_a_kind_is_read_mapped_and_judged(kind: Kind, words: Crosswalks) -> None:
    found, reasons = counted(kind, words)

    assert found == kind.truth, "\n".join(reasons)


if __name__ == "__main__":
    for it in KINDS:
        number, why = counted(it, Crosswalks(Iris()))
        print(
            f"{it.files} by {it.protocol} with {it.mapping}: of {len(list(replay.FEEDS.glob(it.files)))} files {number[0]} were read;",
            end=" ",
        )
        print(f"{number[1]} records came, {number[2]} were mapped, {number[3]} passed the checks", *why, sep="\n    ")
