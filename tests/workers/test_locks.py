from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from harvesters.errors import LockLostError
from harvesters.ledger.database import SharedRateLimiter
from harvesters.ledger.ledger import Ledger

_OUT = sa.text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
""")


@pytest.fixture
def books(ledger: str) -> Iterator[list[Ledger]]:
    results = [Ledger(ledger), Ledger(ledger)]
    yield results
    for other_file in results:
        other_file.close()


@pytest.mark.smoke
def test_a_lock_has_one_holder_and_is_released(books: list[Ledger]) -> None:
    with (
        books[0].advisory_lock("source a", wait=False) as first,
        books[1].advisory_lock("source a", wait=False) as second,
    ):
        assert first is not None
        assert second is None
    with books[1].advisory_lock("source a", wait=False) as later:
        assert later is not None


def test_a_waiting_process_gets_the_released_lock(books: list[Ledger]) -> None:
    order: list[str] = []

    def wait() -> None:
        with books[1].advisory_lock("journal", wait=True):
            order.append("second")

    with books[0].advisory_lock("journal", wait=True):
        waiting = threading.Thread(target=wait)
        waiting.start()
        order.append("first")
    waiting.join(10)

    assert order == ["first", "second"]


def test_a_lost_lock_is_detected_and_free_for_others(books: list[Ledger]) -> None:
    with books[0].advisory_lock("source a", wait=False) as fence:
        assert fence is not None
        fence()
        with books[1].transaction() as connection:
            connection.execute(_OUT)

        with pytest.raises(
            LockLostError,
            match=r"its lock in the ledger's database is lost \(terminating connection",
        ):
            fence()
        with books[1].advisory_lock("source a", wait=False) as other:
            assert other is not None


def test_two_workers_share_the_rate_limit_and_the_retry_after_of_a_host(
    books: list[Ledger],
) -> None:
    waits: list[float] = []
    paces = [SharedRateLimiter(other_file, waits.append) for other_file in books]

    for number in range(4):
        paces[number % 2].acquire("registry.example", 10)

    assert [round(wait) for wait in waits] == [10, 20, 30]
    waits.clear()
    paces[0].block_host("other.example", 100)
    paces[1].acquire("other.example", 1)
    assert [round(wait) for wait in waits] == [100]
