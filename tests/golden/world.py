"""The world of the golden files: the small one of the publisher's tests with clusters, an event to
come, a post, two releases, a report, and a registry whose second harvest waits for approval. Times
and the signing key are handed in.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from unittest import mock

import httpx
from clocks import ManualClock
from in_process import LIMITS, InProcess, running
from isal import igzip_threaded
from publish_fixture import derive
from small_world import CHANGED, IRIS, add_clusters, build, record_rows, write_status
from waiting import wait_until

from command_line.settings import Settings
from command_line.site import create_site
from harvesters.ledger import operators, outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Scope
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.run import harvest
from harvesters.source import load
from journal.journal import Journal
from publisher.portal.report import builder as reports
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from vocab.initiative import Event, Post, Text
from vocab.provenance import SourceStatus, describe_source_statuses

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
HARVESTED = datetime(2026, 2, 26, 8, tzinfo=UTC)
DEFINITION = """title = "Projects <b>of</b> the ministry"
protocol = "json"
mapping = "fields"
url = "https://registry.example/api"
licence = "https://creativecommons.org/licenses/by/4.0/"
language = "en"
pause = 0

[options]
records = "results"
total = "total"
page = "page"
key = "id"

[fields]
key = "id"
"title@en" = "name"
goals = "sdgs"
lead = "owner"
"""
PUBLIC = "https://public.example"
# A key for these tests alone, without a password. Signatures of Ed25519 have no random part.
KEY = """untrusted comment: minisign secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADU3qlT8nPOfvYR/uM6rfcdpzJBsQxed8r7lt3\
52kJcNxunem8VMrYtINWmpaxwWd9qFfVZlCrW/s9YSw7eDl7xogrMxaHVSUYHDuweKSiUA+8zWEOBEs0mrKFTg9qSLsfCMXDaT4VI=
"""
RELEASES = [datetime(2026, month, 1, 6, tzinfo=UTC) for month in (4, 5)]
STATUSES = [
    SourceStatus("demo", CHANGED, CHANGED, "published", 124, None),
    SourceStatus("atlas", CHANGED, None, "failed", 6, "the registry does not answer"),
    SourceStatus("projects", HARVESTED, HARVESTED, "held", 12, "too few", plan="projects.2"),
]
MORE = (
    Event(
        key="e9",
        titles=(Text("Summit of the networks", "en"), Text("Sommet des réseaux", "fr")),
        start="2099-05-01T09:00:00Z",
        end="2099-05-03T17:00:00Z",
        venue=Text("Nairobi", "en"),
    ),
    Post(
        key="b 1",
        titles=(Text("The mast stands", "en"),),
        content=Text("It was <b>raised</b> on Monday.", "en"),
        issued="2026-02-03",
    ),
)


@contextmanager
def _pack(path: Path, mode: str, **_: int) -> Iterator[gzip.GzipFile]:
    """Write a gzip file in place of isal, whose compressed bytes depend on the processor."""
    with (
        path.open(mode) as raw,
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as file,
    ):
        yield file


@mock.patch.object(igzip_threaded, "open", _pack)
def build_world(data: Path) -> None:
    """Write the world, with all files that the publisher derives from its journal."""
    harvest_projects(data)
    build(data)
    sign_with_a_known_key(data / "signing")
    build_release(data, IRIS, RELEASES[0])
    add_clusters(data)
    rows = [row for item in MORE for row in record_rows("atlas", item)]
    # The entry is of a run that is in the ledger, since the ledger refuses a journal that ends with
    # an unknown run.
    Journal(data / "journal").append(rows, run="projects.1", time=CHANGED + timedelta(days=3))
    build_release(data, IRIS, RELEASES[1])
    reports.build_report(data, IRIS, None, "en", {})
    list(write_dumps(Journal(data / "journal"), data / "dumps"))
    for path in (data / "dumps").iterdir():  # pages show the time of a dump
        os.utime(path, (RELEASES[1].timestamp(), RELEASES[1].timestamp()))
    write_status(data, describe_source_statuses(STATUSES, IRIS))
    derive(data)


def sign_with_a_known_key(folder: Path) -> None:
    """Write the key that releases are signed with."""
    folder.mkdir()
    (folder / "stocktake.key").write_text(KEY)


def harvest_projects(data: Path) -> None:
    """Harvest a registry twice, the second time with too few records, so that its plan waits."""
    (data / "sources").mkdir()
    (data / "sources" / "projects.toml").write_text(DEFINITION)
    for name in ("submissions", "prizes"):
        text = (ROOT / "sources" / f"{name}.toml").read_text()
        enabled = text.replace("enabled   = false", "enabled   = true")
        (data / "sources" / f"{name}.toml").write_text(enabled)
    for number, size in enumerate((12, 2)):
        clock = count_minutes(HARVESTED + timedelta(days=number))
        run_harvest(data, "projects", clock, httpx.MockTransport(partial(reply, size)))


def run_harvest(
    data: Path, source: str, now: Callable[[], datetime], transport: httpx.BaseTransport
) -> None:
    with open_context(
        data,
        f"sqlite:///{data}/ledger.sqlite",
        IRIS.base,
        NetworkSettings("help@public.example", transport=transport),
        source_dir=data / "sources",
        workers=0,
    ) as context:
        harvest(load(data / "sources" / f"{source}.toml"), replace(context, now=now), full=True)


def reply(size: int, request: httpx.Request) -> httpx.Response:
    """Answer as a registry of *size* projects."""
    if request.url.path == "/robots.txt":
        return httpx.Response(404)
    projects = [
        {"id": f"p{number}", "name": f"Project {number}", "sdgs": goal, "owner": "Ministry"}
        for number, goal in zip(range(size), ["SDG 4", "SDG 9", "learning"] * 4, strict=False)
    ]
    return httpx.Response(200, json={"total": size + 1, "results": [*projects, {"id": "untitled"}]})


def count_minutes(first: datetime) -> Callable[[], datetime]:
    """Return a clock that advances a minute at each call."""
    return (first + timedelta(minutes=number) for number in count()).__next__


@dataclass(frozen=True)
class GoldenSite:
    """The running program: its transport, its clock, and its ledger with keys and messages."""

    data: Path
    transport: InProcess
    clock: ManualClock
    values: dict[str, str]
    ledger: Ledger

    def harvest(self, source: str) -> None:
        """Harvest what was submitted to *source*, and wait until it is published."""
        run_harvest(self.data, source, self.clock.now, httpx.MockTransport(partial(reply, 0)))
        with httpx.Client(transport=self.transport, base_url=PUBLIC) as client:
            wait_until(partial(is_level, client), f"{source} to be published", pause=0.3)

    def messages(self) -> str:
        """Return the queued messages, the newest first."""
        return "\n".join(item.text for item in outbox.messages(self.ledger, 9))


def is_ready(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code != 503


def is_level(client: httpx.Client) -> bool:
    """Return whether the newest journal entry is in the store and in each projection."""
    health = client.get("/health").json()
    positions = {state.get("position") for state in health["projections"].values()}
    return health["lag"] == 0 and positions == {health["position"]}


@contextmanager
def site(data: Path) -> Iterator[GoldenSite]:
    """Run all applications of ``stocktake serve`` over the world in *data*."""
    clock = ManualClock(NOW)
    settings = Settings(
        data,
        data / "sources",
        IRIS.base,
        f"sqlite:///{data}/ledger.sqlite",
        frozenset(),
        "help@public.example",
        "rust",
        limits=LIMITS,
        comments=True,
        smtp="smtp://mail.example?from=register@public.example",
    )
    ledger = Ledger(settings.ledger)
    values: dict[str, str] = {}
    for number, scope in enumerate(Scope):  # lists sort keys by their times
        created = NOW - timedelta(hours=9 - number)
        key, token = operators.create_key(ledger, f"Someone who may {scope.label}", scope, created)
        values |= {f"KEY_{scope.label}": token, f"KEYID_{scope.label}": key.id}
    with running(lambda: create_site(settings, PUBLIC, clock.now)) as transport:
        with httpx.Client(transport=transport, base_url=PUBLIC) as client:
            for path in ("/search?q=network", "/timemap/scheme/sdg", "/oai?verb=ListSets"):
                wait_until(partial(is_ready, client, path), f"{path} to be ready")
        yield GoldenSite(data, transport, clock, values, ledger)
    ledger.close()
