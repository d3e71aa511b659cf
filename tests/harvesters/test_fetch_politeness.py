from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Barrier, Thread
from typing import Any

import httpx
import pytest
from fetch_client import fetch_with
from rows import each
from structlog.testing import capture_logs

from harvesters.errors import (
    InvalidURLError,
    QuietHoursError,
    RobotsError,
    SourceDefinitionError,
    TemporaryFetchError,
    UnexpectedStatusError,
)
from harvesters.network.fetch import (
    MAX_CRAWL_DELAY,
    Fetch,
    LocalRateLimiter,
    RetryPolicy,
)
from harvesters.network.reply import retry_after
from harvesters.source import parse, parse_quiet_hours

URL = "https://registry.example/api/records"


AT_0, AT_30 = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2015 00:00:30 GMT"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Host:
    robots: str | int | Handler = 404
    answer: Handler = lambda _: httpx.Response(200, content=b"[]")
    request_log: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request_log.append(f"{request.url.host}{request.url.path}")
        if request.url.path != "/robots.txt":
            return self.answer(request)
        if callable(self.robots):
            return self.robots(request)
        return (
            httpx.Response(self.robots)
            if isinstance(self.robots, int)
            else httpx.Response(200, text=self.robots)
        )


def open_client(host: Handler, **settings: Any) -> Fetch:
    options = {
        "pause": 0,
        "retry_policy": RetryPolicy(max_attempts=2, wait_initial=0, wait_max=0),
        "rate_limiter": LocalRateLimiter(lambda _: None, lambda: 0.0),
        **settings,
    }
    return fetch_with(httpx.MockTransport(host), **options)


def get(host: Handler, **settings: Any) -> Fetch:
    with open_client(host, **settings) as fetch:
        fetch.get(URL)
    return fetch


def naps(host: Handler, **settings: Any) -> list[float]:
    """Return the pauses, in seconds, that were made for one request to *host*."""
    slept: list[float] = []
    get(host, rate_limiter=LocalRateLimiter(slept.append, lambda: 0.0), **settings)
    return slept


def redirect(location: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": location})


# ---- robots.txt


@each(
    "text",
    ["User-agent: *\nDisallow: /",
     "User-agent: *\nDisallow: /other\nDisallow: /api # not for programs",
     "user-agent: stocktake\ndisallow: /api/*/x\ndisallow: /*records",
     "User-agent: other\nUser-agent: Stocktake\nDisallow: /api$\nDisallow: /api/",
     "\ufeffUser-agent: *\nDisallow: /api",
     "User-agent: *\nDisallow: /*a*a*a*a*a*a*a*a*a*a*a*a*\nDisallow: /api/r"],
)  # fmt: skip
def test_what_robots_txt_forbids_is_not_asked(text: str) -> None:
    host = Host(text)

    with open_client(host) as fetch, pytest.raises(RobotsError) as raised:
        fetch.get(URL)

    assert "https://registry.example/robots.txt forbids it; ask" in str(raised.value)
    assert '"User-agent: Stocktake" and "Allow: /api/records"' in str(raised.value)
    assert host.request_log == ["registry.example/robots.txt"]
    assert fetch.outcome_counts == {"sent": 1, "answered": 1, "robots": 1}


@each(
    "robots",
    ["", "User-agent: *\nDisallow:", "User-agent: other\nDisallow: /", "User-agent: *\nDisallow: /\n\nUser-agent: Stocktake\nAllow: /",
     "User-agent: *\nDisallow: /api\nAllow: /api/records", "<!DOCTYPE html><title>Not found</title>", "\x00\xff garbage",
     # Here the file cannot be had, or its redirects lead in circles.
     400, 401, 403, 404, 410, 451, lambda request: redirect(str(request.url))],
)  # fmt: skip
def test_what_robots_txt_does_not_forbid_is_asked(robots: Any) -> None:
    host = Host(robots)

    get(host)

    assert {*host.request_log} == {"registry.example/robots.txt", "registry.example/api/records"}


@each("status", [429, 500, 501, 503, 505, 520])
def test_while_robots_txt_is_unknown_nothing_is_asked(status: int) -> None:
    host = Host(status)

    with pytest.raises(RobotsError, match=r"without a readable robots\.txt no requests are allow"):
        get(host)

    assert set(host.request_log) == {"registry.example/robots.txt"}


def test_a_robots_txt_out_of_reach_is_an_outage_and_is_not_tried_beyond_measure() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    host = Host(broken)

    with pytest.raises(TemporaryFetchError, match="no route"):
        get(host)

    assert len(host.request_log) == 2


def test_each_host_on_the_way_is_asked_for_its_rules_once() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        registry = request.url.host == "data.example"
        return httpx.Response(200) if registry else redirect("https://data.example/records")

    host = Host("User-agent: *\nAllow: /", answer)

    with open_client(host) as fetch:
        fetch.get(URL)
        fetch.get(URL)

    asked = [host.request_log.count(f"{name}.example/robots.txt") for name in ("registry", "data")]
    assert asked == [1, 1]


def test_a_redirect_does_not_lead_past_another_hosts_rules() -> None:
    def rules(request: httpx.Request) -> httpx.Response:
        forbidden = request.url.host == "data.example"
        return httpx.Response(200, text="User-agent: *\nDisallow: /" if forbidden else "")

    with pytest.raises(RobotsError, match=r"https://data.example/robots.txt forbids it"):
        get(Host(rules, lambda _: redirect("https://data.example/records")))


@each(
    "text, settings, delays",
    [(f"User-agent: *\n{text}", {"pause": 2}, [delay])
     for text, delay in (("Crawl-delay: 3", 3), ("Crawl-delay: 0.5", 2), ("Crawl-delay: soon", 2),
                         ("Crawl-delay: -5", 2), ("", 2))]
    + [("User-agent: *\nDisallow: /\nCrawl-delay: 7", {"robots_override": "letter of 1 March"}, [7])],
)  # fmt: skip
def test_the_longer_of_the_definitions_pause_and_the_hosts_is_kept_by_a_grant_too(
    text: str, settings: dict[str, Any], delays: list[float]
) -> None:
    assert naps(Host(text), **settings) == delays


def test_a_crawl_delay_beyond_measure_is_cut_short_and_reported() -> None:
    with capture_logs() as logs:
        slept = naps(Host("User-agent: *\nCrawl-delay: 86400"))

    assert slept == [MAX_CRAWL_DELAY]
    assert [(log["event"], log["requested"], log["applied"]) for log in logs] == [
        ("crawl-delay reduced to the maximum", 86400.0, MAX_CRAWL_DELAY)
    ]


def test_a_huge_robots_txt_is_read_from_its_beginning_only() -> None:
    host = Host("User-agent: *\n" + "# nothing\n" * 60_000 + "Disallow: /\n")

    get(host)

    assert host.request_log[-1] == "registry.example/api/records"


# ---- pace


def test_two_sources_of_a_host_share_its_pause_and_other_hosts_have_their_own() -> None:
    slept: list[float] = []
    pace = LocalRateLimiter(slept.append, lambda: 0.0)

    with (
        open_client(Host(), pause=4, robots=False, rate_limiter=pace) as one,
        open_client(Host(), pause=1, robots=False, rate_limiter=pace) as two,
    ):
        one.get(URL)
        two.get(URL)
        two.get("https://other.example/")
        one.get(URL)

    assert slept == [4.0, 8.0]


def test_requests_of_many_threads_go_out_a_pause_apart() -> None:
    due: list[float] = []
    pace, barrier = LocalRateLimiter(due.append, lambda: 0.0), Barrier(8)

    def ask() -> None:
        barrier.wait()
        pace.acquire("registry.example", 2.0)

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(due) == [2.0 * number for number in range(1, 8)]


def test_a_host_that_asks_one_source_to_wait_is_left_alone_by_the_others() -> None:
    slept: list[float] = []
    how: dict[str, Any] = {"robots": False, "rate_limiter": LocalRateLimiter(slept.append, lambda: 0.0)}  # fmt: skip
    limited = Host(answer=lambda _: httpx.Response(429, headers={"Retry-After": "90"}))

    with pytest.raises(TemporaryFetchError, match="in 90 seconds"):
        get(limited, retry_policy=RetryPolicy(max_attempts=1), **how)
    get(Host(), **how)

    assert slept == [90.0]


def test_who_asks_for_more_than_a_run_waits_is_left_at_once() -> None:
    host = Host(answer=lambda _: httpx.Response(503, headers={"Retry-After": "86400"}))

    with pytest.raises(TemporaryFetchError, match="in 86,400 seconds"):
        get(host, robots=False)

    assert len(host.request_log) == 1


@each(
    "value, date, seconds",
    [("soon", None, None), ("", None, None), (None, None, None), ("²", None, None), ("7", None, 7.0), (AT_0, None, 0.0), (AT_30, None, 0.0),
     (AT_30, AT_0, 30.0), (AT_0, AT_30, 0.0), ("Sun, 01 Mar 2026 12:01:00 GMT", None, 60.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_counted_from_the_registrys_own_clock(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    assert retry_after(value, date, NOON) == seconds


# ---- quiet hours


def test_in_quiet_hours_nothing_is_asked() -> None:
    host, quiet = Host(), parse_quiet_hours("11:00-13:00")

    with (
        open_client(host, quiet_hours=quiet, now=lambda: NOON) as fetch,
        pytest.raises(QuietHoursError, match="after 2026-03-01 13:00 UTC"),
    ):
        fetch.get(URL)

    assert (host.request_log, fetch.outcome_counts) == ([], {"quiet_hours": 1})


@each(
    "text",
    ["22-06", "22:00", "24:00-06:00", "22:00-22:00", "22:60-23:00", "", "ten to six", "２２:00-06:00"],
)  # fmt: skip
def test_what_is_no_window_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write HH:MM-HH:MM|start and end are equal|must be in"):
        parse_quiet_hours(text)


# ---- what is counted


def test_an_address_that_is_none_is_reported_and_counted_and_fails_a_redirect() -> None:
    with open_client(Host()) as fetch:
        for url in ("https://[::1", "ftp://registry.example/x", "https://registry.example:port/"):
            with pytest.raises(InvalidURLError):
                fetch.get(url)

    assert fetch.outcome_counts == {"invalid_url": 3}

    with pytest.raises((InvalidURLError, TemporaryFetchError)):
        get(Host(answer=lambda _: redirect("https://[::1")), robots=False)


@each("status", [204, 206, 300, 400, 418, 422, 501])
def test_a_status_that_means_nothing_here_is_not_asked_again(status: int) -> None:
    host = Host(answer=lambda _: httpx.Response(status))

    with (
        open_client(host, robots=False) as fetch,
        pytest.raises(UnexpectedStatusError, match=f"answered {status}"),
    ):
        fetch.get(URL)

    assert fetch.outcome_counts == {"sent": 1, "unexpected": 1}


def test_a_contact_cannot_break_the_header_that_holds_it() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["user-agent"])
        return httpx.Response(200)

    get(Host(answer=answer), contact="büro@example.org\r\nX-Evil: 1")

    contact = "https://w3id.org/wsis-stocktaking/; b?ro@example.org X-Evil: 1"
    assert seen == [f"Stocktake/0.1 (+{contact})"]


# ---- the source definition


def test_a_definition_says_quiet_hours_and_who_let_us_in() -> None:
    table = {"title": "A", "protocol": "json", "mapping": "fields", "url": URL, "licence": "https://example.org/l"}  # fmt: skip
    grant = "letter of 1 March 2026"

    source = parse("a", {**table, "quiet": "22:00-06:00", "grant": grant}, "test")

    assert (str(source.quiet), source.grant) == ("22:00-06:00", grant)
    for wrong, message in (
        ({"quiet": "22-06"}, "test: quiet is '22-06'; write HH:MM-HH:MM in UTC"),
        ({"grant": True}, "grant is True; write text"),
    ):
        with pytest.raises(SourceDefinitionError, match=message):
            parse("a", {**table, **wrong}, "test")
