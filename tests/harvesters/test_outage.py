from __future__ import annotations

from structlog.testing import capture_logs

from journal.outage import Outage, root_cause


def test_failures_are_logged_once_for_each_reason_and_counted_at_the_recovery() -> None:
    now = [0.0]
    outage = Outage("database lost", "database back", clock=lambda: now[0])

    with capture_logs() as logs:
        for seconds, reason in (
            (0, "refused"),
            (5, "refused"),
            (10, "starting up"),
            (15, "refused"),
        ):
            now[0] = seconds
            outage.failed(reason)
        now[0] = 31
        outage.over()
        outage.over()

    assert [
        (log["event"], log.get("reason"), log.get("failures"), log.get("seconds")) for log in logs
    ] == [
        ("database lost", "refused", None, None),
        ("database lost", "starting up", None, None),
        ("database back", None, 4, 31),
    ]


def test_the_next_outage_is_logged_again() -> None:
    outage = Outage("database lost", "database back")

    with capture_logs() as logs:
        for _ in range(2):
            outage.failed("refused")
            outage.over()

    assert [log["event"] for log in logs] == ["database lost", "database back"] * 2


def test_root_cause_is_the_first_error_of_a_chain() -> None:
    outer = RuntimeError("database error")
    outer.__cause__ = OSError("connection\nrefused")

    assert root_cause(outer) == "connection refused"
