"""The world of the golden files: the small one of the publisher's tests with clusters, an event to
come, a post, two releases and a report. Its times, keys and ids are handed in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
from in_process import InProcess, running, serving
from publish_fixture import derive
from small_world import CHANGED, IRIS, add_clusters, build, record_rows, write_status
from waiting import wait_until

from journal.journal import Journal
from publisher.portal.report import builder as reports
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from vocab.initiative import Event, Post, Text
from vocab.statements.provenance import SourceStatus, describe_source_statuses

PUBLIC = "https://public.example"
# a key for these tests alone, without a password; signatures of Ed25519 have no random part
KEY = """untrusted comment: minisign secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADU3qlT8nPOfvYR/uM6rfcdpzJBsQxed8r7lt3\
52kJcNxunem8VMrYtINWmpaxwWd9qFfVZlCrW/s9YSw7eDl7xogrMxaHVSUYHDuweKSiUA+8zWEOBEs0mrKFTg9qSLsfCMXDaT4VI=
"""
RELEASES = [datetime(2026, month, 1, 6, tzinfo=UTC) for month in (4, 5)]
STATUSES = [
    SourceStatus("demo", CHANGED, CHANGED, "published", 124, None),
    SourceStatus("atlas", CHANGED, CHANGED, "held", 6, None),
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


def build_world(data: Path) -> None:
    """Write the world, with all that the publisher derives from its journal."""
    build(data)
    sign_with_a_known_key(data / "signing")
    build_release(data, IRIS, RELEASES[0])
    add_clusters(data)
    rows = [row for item in MORE for row in record_rows("atlas", item)]
    Journal(data / "journal").append(rows, run="run-5", time=CHANGED + timedelta(days=3))
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


def is_ready(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code != 503


@contextmanager
def site(data: Path) -> Iterator[InProcess]:
    """Run all that ``stocktake serve`` serves of the world in *data*."""
    with running(serving(data, PUBLIC, "help@public.example")) as transport:
        with httpx.Client(transport=transport, base_url=PUBLIC) as client:
            for path in ("/search?q=network", "/timemap/scheme/sdg", "/oai?verb=ListSets"):
                wait_until(partial(is_ready, client, path), f"{path} to be ready")
        yield transport
