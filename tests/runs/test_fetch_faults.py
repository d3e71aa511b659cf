from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
import stamina
from rows import each
from typer.testing import CliRunner

from demo.registries import Demo
from demo.scenario import Fault
from demo.source_definitions import write_sources
from harvesters.errors import HarvestError
from harvesters.ledger.models import Run, State
from harvesters.network.fetch import LocalRateLimiter, NetworkSettings, RetryPolicy
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.run import harvest
from harvesters.source import Source, load, parse_quiet_hours
from stocktake import app
from vocab.iris import BASE
from web.outbound_client import GuardedTransport

HOST = "127.0.0.1"
SOUND = RetryPolicy(max_bytes=2_000_000, max_attempts=2)
# In seconds, for faults that would take for ever.
SHORT = RetryPolicy(read_timeout=0.2, response_timeout=0.3, max_attempts=2)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo(400, 5, (), only=("cursor", "oai"), page=10) as running:
        yield running


@dataclass
class SleepClock:
    slept: list[float] = field(default_factory=list)
    passed: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds

    def read(self) -> float:
        return self.passed


@dataclass(frozen=True)
class FaultRegistry:
    """A registry of the demo whose records are published, and the context to harvest it again;
    *slept* has the seconds of each pause.
    """

    demo: Demo
    source: Source
    context: HarvestContext
    slept: list[float]

    def strike(self, *faults: Fault, stays: bool = True) -> None:
        self.demo.evolve(faults=faults, stays=stays)
        self.slept.clear()

    def run(self, patience: RetryPolicy = SOUND) -> Run:
        """Harvest all again; return the run as the ledger has it, even if it failed."""
        with suppress(HarvestError):
            network = replace(self.context.network, retry_policy=patience)
            harvest(self.source, replace(self.context, network=network), full=True)
        return self.context.ledger.runs(self.source.name, 1)[0]

    def unharmed(
        self, fault: Fault, state: State, patience: RetryPolicy = SOUND, *, stays: bool = True
    ) -> Run:
        """Harvest with a fault and return the run; it must end in *state* and publish nothing."""
        before = self.published()
        self.strike(fault, stays=stays)
        run = self.run(patience)
        assert (run.state, self.published() == before) == (state, True), run.reason
        return run

    def published(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted(self.context.journal.folder.glob("*.gz"))]

    @property
    def count(self) -> int:
        return self.context.ledger.count_published(self.source.name)


@pytest.fixture(scope="module")
def published(
    demo: Demo, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], FaultRegistry]]:
    home, clock = tmp_path_factory.mktemp("faults"), SleepClock()
    ledger, settings = f"sqlite:///{home}/ledger.sqlite", NetworkSettings("operator@example.org", frozenset({HOST}))  # fmt: skip
    with open_context(home / "data", ledger, BASE, settings) as real:
        network = replace(real.network, rate_limiter=LocalRateLimiter(clock.sleep, clock.read))
        context = replace(real, network=network)
        known: dict[str, FaultRegistry] = {}

        def get(name: str) -> FaultRegistry:
            if name not in known:
                demo.evolve(faults=())
                source = load(write_sources(demo.url, home / "sources", (name,))[0])
                known[name] = FaultRegistry(demo, source, context, clock.slept)
                assert known[name].run().state is State.COMMITTED
            return known[name]

        yield get


@pytest.fixture
def registry(published: Callable[[str], FaultRegistry]) -> FaultRegistry:
    return published("cursor")


LASTING = [
    (Fault.LIMITED, "limited", 'answered 429 ("too many requests") and asks to retry in 2 seconds'),
    (Fault.DATED, "unavailable", 'answered 503 ("back soon") and asks to retry in 2 seconds'), (Fault.DOWN, "unavailable", "answered 503"),
    (Fault.DENIED, "denied", 'answered 403 ("no key"); correct the source\'s url, or ask the registry for access'),
    (Fault.WALL, "bot_protection", 'http.user_agent contains "Stocktake/"'),
    (Fault.INWARD, "refused", "has the private address 10.0.0.1"), (Fault.ROUND, "redirect_loop", "more than 5 redirects"),
    (Fault.SHORT, "truncated", "broke off after 6 bytes"), (Fault.CHUNK, "truncated", "broke off after 6 bytes"),
    (Fault.SCRAP, "undecodable", "not in the encoding that it declares"), (Fault.BOMB, "too_large", "larger than 2,000,000 bytes"),
    (Fault.ALIEN, "malformed", "127.0.0.1"), (Fault.HTML, "web_page", 'an HTML page titled "Maintenance" where JSON was expected'),
    (Fault.FORBIDS, "robots", 'robots.txt forbids it'), (Fault.MUTE, "robots", "without a readable robots.txt"),
]  # fmt: skip
CONTENT = {"charset", "repeated", "shrunk", "endless"}
# These outcomes are not ways in which a request that was sent can end.
BESIDE = {"sent", "retried", "robots", "quiet_hours", "redirect_loop", "invalid_url", *CONTENT}
AGAIN = {"limited", "unavailable", "truncated", "undecodable", "malformed", "stalled"}


@pytest.mark.parametrize(("fault", "outcome", "message"), LASTING, ids=[row[0] for row in LASTING])
def test_a_permanent_fault_ends_the_run_and_changes_nothing(
    registry: FaultRegistry, fault: Fault, outcome: str, message: str
) -> None:
    # Faults of robots.txt and the web page come before the first good page, all others after it.
    is_first = outcome in ("robots", "web_page")

    run = registry.unharmed(fault, State.FAILED if is_first else State.INCOMPLETE)

    assert message in str(run.reason)
    assert run.network[outcome] >= (2 if outcome in AGAIN else 1)
    ended = sum(count for name, count in run.network.items() if name not in BESIDE)
    assert run.network["sent"] == ended


@pytest.mark.parametrize("fault", [Fault.LORIS, Fault.DRIP, Fault.STALL])
def test_an_endless_response_times_out(registry: FaultRegistry, fault: Fault) -> None:
    assert registry.unharmed(fault, State.INCOMPLETE, SHORT).network["stalled"] >= 2


PASSING = [row[:2] for row in LASTING if row[1] in AGAIN]


@pytest.mark.parametrize(("fault", "outcome"), PASSING, ids=[row[0] for row in PASSING])
def test_a_temporary_fault_is_counted_and_costs_one_more_request(
    registry: FaultRegistry, fault: Fault, outcome: str
) -> None:
    run = registry.unharmed(fault, State.UNCHANGED, stays=False)

    assert run.network[outcome] == run.network["retried"] == 1
    assert run.network["sent"] == run.network["answered"] + 1
    if fault in (Fault.LIMITED, Fault.DATED):  # all runs of the process obey Retry-After
        assert registry.slept == [2.0]


def test_a_wrong_charset_declaration_is_logged(registry: FaultRegistry) -> None:
    run = registry.unharmed(Fault.CHARSET, State.INCOMPLETE)

    assert "not utf-8 at byte" in str(run.reason)
    assert run.network["charset"] == 1


@pytest.mark.parametrize("fault", [Fault.BOM, Fault.CLOCK])
def test_a_byte_order_mark_and_a_backward_clock_are_harmless(
    registry: FaultRegistry, fault: Fault
) -> None:
    assert registry.unharmed(fault, State.UNCHANGED).reason is None


def test_the_crawl_delay_of_robots_txt_is_obeyed_and_a_grant_overrides_its_paths(
    registry: FaultRegistry,
) -> None:
    registry.strike(Fault.CRAWL)

    run = registry.run()

    assert run.state is State.UNCHANGED
    assert registry.slept == [1.5] * (run.network["sent"] - 1)
    registry.strike(Fault.FORBIDS)
    granted = replace(registry, source=replace(registry.source, grant="letter of 1 March 2026"))
    assert granted.run().state is State.UNCHANGED


def test_robots_txt_is_requested_once_per_run(registry: FaultRegistry) -> None:
    registry.strike()
    before = registry.demo.counters()["requests"]["cursor"]

    run = registry.run()

    pages = registry.demo.counters()["requests"]["cursor"] - before
    assert run.network == {"sent": pages + 1, "answered": pages + 1}


def test_a_run_stops_in_quiet_hours_and_resumes_after_them(registry: FaultRegistry) -> None:
    registry.strike()
    before = registry.published()
    evening, night, morning = (
        datetime.fromisoformat(f"2026-03-0{text}:00+00:00") for text in ("1T21:59", "1T23:00", "2T06:00")
    )  # fmt: skip
    times = iter([evening] * 4)
    calm = replace(registry, source=replace(registry.source, quiet=parse_quiet_hours("22:00-06:00")))  # fmt: skip

    def run_at(now: Callable[[], datetime]) -> Run:
        return replace(calm, context=replace(registry.context, now=now)).run()

    put_off, went_on = run_at(lambda: next(times, night)), run_at(lambda: morning)

    assert put_off.state is State.RUNNING
    assert put_off.network["quiet_hours"] == 1
    assert "continues after 2026-03-02 06:00 UTC" in str(put_off.reason)
    assert (went_on.id, went_on.state, went_on.reason) == (put_off.id, State.UNCHANGED, None)
    assert registry.published() == before


class DemoNetwork(httpcore.SyncBackend):
    def __init__(self, port: int) -> None:
        self.port = port
        self.dialled: list[str] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.dialled.append(host)
        return super().connect_tcp(HOST, self.port, timeout, local_address, socket_options)


def test_a_host_that_resolves_to_a_private_address_later_is_refused(
    registry: FaultRegistry,
) -> None:
    registry.strike(Fault.SHORT, stays=False)  # the second connection brings the second look-up
    answers, line = iter([["93.184.216.34"]]), DemoNetwork(registry.demo.port)
    transport = GuardedTransport(resolve=lambda host, port: next(answers, ["10.0.0.7"]), dial=line)
    url = registry.source.url.replace(HOST, "registry.example")
    network = replace(registry.context.network, transport=transport)

    run = replace(
        registry, source=replace(registry.source, name="turning", url=url), context=replace(registry.context, network=network),
    ).run()  # fmt: skip

    assert run.state is State.INCOMPLETE
    assert "registry.example has the private address 10.0.0.7" in str(run.reason)
    assert (run.network["truncated"], run.network["refused"]) == (1, 1)
    assert line.dialled == ["93.184.216.34"]


@each("name", ["cursor", "oai"])
@each(
    "fault, outcome, reason",
    [(Fault.TOKEN, "endless", r"repeats '"),
     (Fault.ENDLESS, "endless", "is page 101 in a row without a record; its list does not end"),
     (Fault.REPEAT, "repeated", "repeats the records of an earlier page"), (Fault.SHRINK, "shrunk", "the total shrank from")],
)  # fmt: skip
def test_an_inconsistent_list_ends_the_run_and_changes_nothing(
    published: Callable[[str], FaultRegistry], name: str, fault: Fault, outcome: str, reason: str
) -> None:
    # OAI-PMH is read on from the last datestamp, so that nothing is missing.
    is_read_on = name == "oai" and fault in (Fault.TOKEN, Fault.REPEAT)

    run = published(name).unharmed(fault, State.UNCHANGED if is_read_on else State.INCOMPLETE)

    assert run.reason is None if is_read_on else re.search(reason, str(run.reason))
    assert is_read_on or run.network[outcome] >= 1
    assert run.network["sent"] < 300


@pytest.mark.parametrize("name", ["cursor", "oai"])
def test_a_duplicate_key_counts_once_and_a_shrinking_total_loses_nothing(
    published: Callable[[str], FaultRegistry], name: str
) -> None:
    registry = published(name)
    count = registry.count

    run = registry.unharmed(Fault.TWICE, State.UNCHANGED)
    assert (run.counts["unchanged"], run.counts["duplicate"]) == (count, run.pages - 1)
    run = registry.unharmed(Fault.SHRINK, State.INCOMPLETE)
    assert run.counts["fetched"] == registry.count == count
    assert run.counts.get("vanished", 0) == 0


def test_equal_keys_of_two_sources_are_two_records(registry: FaultRegistry) -> None:
    registry.strike()
    count = registry.count
    twin = replace(registry, source=replace(registry.source, name="twin", title="Another card"))

    run = twin.run()

    assert (run.state, run.counts["new"], run.counts["duplicate"]) == (State.COMMITTED, count, 0)
    assert twin.count == registry.count == count


def test_the_command_reports_a_postponed_run(demo: Demo, tmp_path: Path) -> None:
    demo.evolve(faults=())
    (definition,) = write_sources(demo.url, tmp_path / "sources", ("cursor",))
    sound, now, hour = definition.read_text(), datetime.now(UTC), timedelta(hours=1)
    definition.write_text(f'quiet = "{now - hour:%H:%M}-{now + hour:%H:%M}"\n{sound}')
    folders = {"STOCKTAKE_DATA": str(tmp_path / "data"), "STOCKTAKE_SOURCES": str(definition.parent)}  # fmt: skip
    where = {**folders, "STOCKTAKE_ALLOW_HOSTS": HOST}

    put_off = CliRunner().invoke(app, ["harvest"], env=where)
    definition.write_text(sound)
    went_on = CliRunner().invoke(app, ["harvest", "--json"], env=where)

    (row,) = json.loads(went_on.stdout)
    assert (put_off.exit_code, "postponed" in put_off.stdout) == (1, True)
    assert (row["run"], row["outcome"]) == ("demo-cursor.1", "committed")
