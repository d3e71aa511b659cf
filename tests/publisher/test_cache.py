"""The validators of responses and the cache of responses, tested without a store."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from pyoxigraph import Store
from rows import each
from starlette.requests import Request

from publisher.sparql.endpoint import CachedResponse, Responses, digest, last_modified, unchanged
from publisher.store.snapshots import Snapshot, create_snapshot

SHOWN = Snapshot(3, 7, "ab", 10, "/x", "cd", 1_700_000_000)
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def test_a_date_that_is_not_over_is_left_out() -> None:
    future = Snapshot(1, 1, "", 0, "/x", "", int(time.time()) + 60)

    assert (last_modified(SHOWN), last_modified(future)) == (DATE, None)


@each(
    "headers, status",
    [({"if-modified-since": DATE}, 304), ({"if-modified-since": "Tue, 14 Nov 2023 22:13:19 GMT"}, None),
     ({"if-modified-since": "yesterday"}, None), ({"if-modified-since": DATE, "if-none-match": '"other"'}, None),
     ({"if-none-match": "*"}, 304), ({"if-none-match": "tag"}, None), ({"if-none-match": '"tag"'}, 304),
     ({"if-none-match": 'W/"tag"'}, 304)],
)  # fmt: skip
def test_conditions_have_their_order(headers: dict[str, str], status: int | None) -> None:
    sent = [(name.encode(), text.encode()) for name, text in headers.items()]
    request = Request({"type": "http", "method": "GET", "headers": sent})

    answer = unchanged(request, 'W/"tag"', SHOWN)

    assert (answer and answer.status_code) == status


def test_two_states_made_in_one_second_have_two_dates(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    first, again = (
        create_snapshot(tmp_path / "same", store, Snapshot(0, 1, "a", 0, "", "s")) for _ in range(2)
    )
    created = [
        create_snapshot(tmp_path / "made", store, Snapshot(0, position, str(position), 0, ""))
        for position in (1, 2, 3)
    ]

    assert created[0].modified < created[1].modified < created[2].modified
    assert (first.modified, first.version) == (again.modified, again.version)


def test_the_cache_is_bounded_and_has_whole_responses_only() -> None:
    responses = Responses(max_bytes=10_000)
    whole = CachedResponse({}, b"x" * 2_000, SHOWN, '"tag"', 0.0, None)
    for query in (b"a", b"b", b"c"):
        responses.add(whole, query)

    responses.cached.get((SHOWN.version, digest(b"a")))
    responses.add(whole, b"d")
    responses.add(replace(whole, etag=""), b"truncated")
    responses.add(replace(whole, body=b"x" * 20_000), b"large")

    assert set(responses.cached) == {(SHOWN.version, digest(query)) for query in (b"a", b"c", b"d")}
    assert digest(b"a", b"bc") != digest(b"ab", b"c")
