"""Run mutations of real payloads through every protocol and its mapping; only our own errors may
come out.

As a program it reads cases as lines of JSON, one `[target, seed]` each, runs them, and writes the
outcome of each. A case that takes more than SECONDS of processor time ends the program, so that the
caller knows which one it was.
"""

from __future__ import annotations

import io
import json
import logging
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import structlog
from lxml import etree

from harvesters.network.fetch import NetworkSettings

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import replay
import test_every_payload as real

from harvesters.errors import HarvestError, ParseError
from harvesters.mappings.mapping import detect_languages
from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.page_model import Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source, load, parse
from vocab.describe import describe
from vocab.iris import Iris

REPLIES = Path(__file__).parent / "replies"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
# A case may take SECONDS of processor time and MEMORY KiB. Payloads of more than LARGEST bytes are
# left out: they find no more faults and take longer.
SECONDS = 5
MEMORY = 500_000
LARGEST = 200_000
TOKENS = [
    b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"<", b">", b"&", b"&#0;", b"&a;", b'"', b"'", b"]]>", b"<![CDATA[", b"<!--",
    b"<?xml", b'<!doctype a [<!ENTITY a "b">]>',
    b"<p>text</p>", b"<<(", b")>>", b"{", b"}", b"[", b"]", b"null", b"1e999", b"NaN", b"-1", b"0",
    b"9" * 30, b"9" * 5000, b"http://[", b"https://a:b/", b"javascript:a", b"POINT(1 2)",
    b"0001-01-01", b"9999-12-31T23:59:59Z", b"99991231T235959Z",
    b"RRULE:FREQ=DAILY;INTERVAL=0\r\n", b"RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30\r\n", b"DTSTART:00010101T000000Z\r\n", b"TZID=Europe/",
    b"XFD1048576", b"\n" * 300, b" " * 300, b"[" * 300, b"(" * 300, b"<a>" * 300, "\u202e\u0000é中".encode(), b"@@@@", b"a@b.example", b"+",
]  # fmt: skip
VALUES: list[Any] = [None, True, False, 0, -1, 1e308, 10**30, "", " ", "a", [], {}, [[]], [None], {"a": None}, [{}], {"@value": 1},
                     {"@id": "<p>"}, "http://[", "9999-99-99", "0001-01-01", "\ud800", "\0", "<p>a", [["a"] * 3] * 3]  # fmt: skip
CHARSETS = ["utf-8", "latin-1", "zlib", "punycode", "utf-16", "none-such", "unicode_escape"]
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class Target:
    name: str
    source: Source
    answer: Handler


@dataclass(frozen=True)
class Outcome:
    target: str
    seed: int
    seconds: float
    memory: int
    records: int
    fault: str


@cache
def targets() -> tuple[Target, ...]:
    """Return all sources: the recorded replies of the tests, and the real payloads where they are
    present.
    """
    results = []
    for folder in sorted(REPLIES.iterdir()):
        handler = replay.played(folder).handler
        results.append(Target(f"replies/{folder.name}", load(folder / "source.toml"), handler))
    for kind in real.KINDS if replay.FEEDS.is_dir() else ():
        definition = {
            "protocol": kind.protocol,
            "mapping": kind.mapping,
            "options": dict(kind.options),
            "fields": dict(kind.fields),
        }
        source = parse("a", {**real.DEFINITION, **definition}, "a")
        for file in sorted(replay.FEEDS.glob(kind.files))[:40]:
            if file.stat().st_size <= LARGEST:
                results.append(
                    Target(
                        f"{file.relative_to(replay.FEEDS)} by {kind.protocol}",
                        source,
                        real.answers(source, file),
                    )
                )
    return tuple(results)


@cache
def readers(name: str) -> Any:
    source = next(target.source for target in targets() if target.name == name)
    return check_compatible(source)[1].prepare(source, replay.crosswalks())


def cases(count: int, seed: int) -> list[tuple[str, int]]:
    groups: dict[str, list[str]] = {}
    for target in targets():
        groups.setdefault(target.source.protocol, []).append(target.name)
    return [
        (names[number % len(names)], seed + number)
        for names in groups.values()
        for number in range(count)
    ]


def run_case(name: str, seed: int) -> Outcome:
    target = next(element for element in targets() if element.name == name)
    read, rng = readers(name), random.Random(f"{name} {seed}")
    # This share of the answers is mutated.
    share = rng.choice((1.0, 1.0, 0.5, 0.2))
    number = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal number
        reply = target.answer(request)
        number += 1
        if number > 50:
            return httpx.Response(404)
        if rng.random() >= share:
            return reply
        headers = {"content-type": reply.headers.get("content-type", "")}
        if rng.random() < 0.1:
            headers["content-type"] += f"; charset={rng.choice(CHARSETS)}"
        return httpx.Response(
            reply.status_code, content=mutate(reply.content, rng), headers=headers
        )

    _reset_peak()
    before, begun, records, fault = _peak(), time.process_time(), 0, ""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with Fetch(
            NetworkSettings(
                retry_policy=RetryPolicy(max_attempts=1), transport=httpx.MockTransport(answer)
            ),
            pause=0,
            robots=False,
        ) as fetch:
            fetch.now = lambda: NOW
            for page in check_compatible(target.source)[0].collect(target.source, fetch, None):
                for item in page.items:
                    if isinstance(item, Record):
                        try:
                            describe(detect_languages(read(item)), Iris(), "a")
                            records += 1
                        except ParseError:
                            pass
    except HarvestError:
        pass
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)
        ours = [
            f"{Path(element.filename).name}:{element.lineno}"
            for element in last
            if "/harvesters/" in element.filename or "/vocab/" in element.filename
        ]
        fault = f"{type(error).__name__}: {str(error)[:200]!r} at {' '.join(ours[-3:])}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(
        name, seed, time.process_time() - begun, max(_peak() - before, 0), records, fault
    )


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    return next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return *content* with some faults, either in its structure, if that can be read, or in its
    bytes.
    """
    if content.startswith(b"PK") and rng.random() < 0.8:
        return _mutate_package(content, rng)
    if rng.random() < 0.5:
        for change in (_mutate_json, _mutate_xml, _mutate_lines):
            try:
                return change(content, rng)
            except (ValueError, LookupError, etree.LxmlError, RecursionError):
                continue
    return _mutate_bytes(content, rng)


def _mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        position, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 4, 30, 400))
        match rng.randrange(6):
            case 0:
                data[position : position + length] = b""
            case 1:
                data[position:position] = rng.choice(TOKENS)
            case 2:
                data[position : position + length] = rng.choice(TOKENS)
            case 3:
                data[position:position] = data[position : position + length] * rng.choice(
                    (1, 3, 50)
                )
            case 4 if position < len(data):
                data[position] = rng.randrange(256)
            case 5 if rng.random() < 0.2:
                del data[position:]
    return bytes(data[: 4 * LARGEST])


def _mutate_json(content: bytes, rng: random.Random) -> bytes:
    document = json.loads(content)
    for _ in range(rng.choice((1, 2, 5, 15))):
        spots = list(_spots(document))
        if not spots:
            raise ValueError
        holder, key = rng.choice(spots)
        match rng.randrange(4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key]]
            case 2:
                other, name = rng.choice(spots)
                holder[key] = json.loads(json.dumps(other[name]))
            case _:
                holder[key] = deepcopy(rng.choice(VALUES))
    return json.dumps(document).encode()


def _spots(document: Any) -> Iterator[tuple[Any, Any]]:
    ahead = [document]
    while ahead:
        element = ahead.pop()
        for key in (
            list(element)
            if isinstance(element, dict)
            else range(len(element))
            if isinstance(element, list)
            else ()
        ):
            yield element, key
            ahead.append(element[key])


def _mutate_xml(content: bytes, rng: random.Random) -> bytes:
    root = etree.fromstring(content)
    for _ in range(rng.choice((1, 2, 5, 15))):
        node = rng.choice(list(root.iter("*")))
        parent = node.getparent()
        match rng.randrange(6):
            case 0 if parent is not None:
                parent.remove(node)
            case 1 if parent is not None:
                parent.insert(0, etree.fromstring(etree.tostring(node)))
            case 2 if node.attrib:
                name = rng.choice(list(node.attrib))
                node.set(name, rng.choice(TOKENS).decode("utf-8", "replace"))
            case 3 if node.attrib:
                del node.attrib[rng.choice(list(node.attrib))]
            case 4:
                node.tail = rng.choice(TOKENS).decode("utf-8", "replace")
            case _:
                node.text = rng.choice(TOKENS).decode("utf-8", "replace")
    return etree.tostring(root)


def _mutate_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    if len(lines) < 3:
        raise ValueError
    for _ in range(rng.choice((1, 2, 5, 15))):
        position, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                lines[position] = lines[other]
            case 1:
                lines[position] = b""
            case 2:
                lines.insert(position, lines[other])
            case 3:
                lines[position] = lines[position][
                    : rng.randrange(len(lines[position]) + 1)
                ] + rng.choice(TOKENS)
            case _:
                lines[position] = rng.choice(TOKENS)
    return b"\n".join(lines)


def _mutate_package(content: bytes, rng: random.Random) -> bytes:
    with (
        zipfile.ZipFile(io.BytesIO(content)) as before,
        zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as after,
    ):
        chosen = rng.choice(before.namelist())
        for name in before.namelist():
            after.writestr(
                name, mutate(before.read(name), rng) if name == chosen else before.read(name)
            )
    return buffer.getvalue()


def run_all(wanted: Sequence[tuple[str, int]], workers: int, patience: float) -> list[Outcome]:
    """Run cases in *workers* processes, and start a process anew behind a case that ends it. Raise
    subprocess.TimeoutExpired if a process takes more than *patience* seconds.
    """
    shares = [list(wanted[number::workers]) for number in range(workers)]
    processes = [_start(share) for share in shares]
    results: list[Outcome] = []
    try:
        for number in range(workers):
            while shares[number]:
                results += _finished(shares[number], processes[number], patience)
                if shares[number]:
                    processes[number] = _start(shares[number])
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return results


def _finished(
    share: list[tuple[str, int]], process: subprocess.Popen[str], patience: float
) -> list[Outcome]:
    out, err = process.communicate(timeout=patience)
    results = [Outcome(**json.loads(line)) for line in out.splitlines()]
    del share[: len(results)]
    # The first case without an outcome is the one that ended the process.
    if share:
        why = (
            f"ended by signal {-process.returncode}"
            if process.returncode < 0
            else f"exit {process.returncode}: {err[-300:]}"
        )
        results.append(Outcome(*share.pop(0), float(SECONDS), 0, 0, why))
    return results


def _start(share: Sequence[tuple[str, int]]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8",
    )  # fmt: skip
    assert process.stdin is not None
    # This cannot block: the cases fit into the buffer of a pipe, or are read while they are
    # written.
    process.stdin.write("".join(json.dumps(element) + "\n" for element in share))
    process.stdin.close()
    process.stdin = None
    return process


def main() -> None:
    """Run the cases of standard input and write their outcomes. With three arguments, run this many
    cases for each protocol from a seed in this many processes, and print figures.
    """
    if len(sys.argv) > 1:
        print_figures(
            run_all(cases(int(sys.argv[1]), int(sys.argv[2])), int(sys.argv[3]), 24 * 3600.0)
        )
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    requested_cases = [json.loads(line) for line in sys.stdin]
    for name, seed in requested_cases:
        print(json.dumps(vars(run_case(name, seed)), ensure_ascii=True), flush=True)


def print_figures(outcomes: Sequence[Outcome]) -> None:
    protocols = {target.name: target.source.protocol for target in targets()}
    for protocol in dict.fromkeys(protocols.values()):
        these = [item for item in outcomes if protocols[item.target] == protocol]
        slowest = max(these, key=lambda element: element.seconds)
        largest = max(these, key=lambda element: element.memory)
        print(
            f"{protocol}: {len(these)} cases, {sum(element.records for element in these)} records mapped,"
            f" {sum(bool(element.fault) for element in these)} faults, slowest {slowest.seconds:.2f} s ({slowest.target} {slowest.seed}),"
            f" largest {largest.memory // 1024} MiB ({largest.target} {largest.seed})"
        )
    faults: dict[str, list[Outcome]] = {}
    for item in outcomes:
        if item.fault:
            faults.setdefault(item.fault, []).append(item)
    for fault, these in faults.items():
        print(f"{len(these)} times {fault} ({these[0].target} {these[0].seed})")


if __name__ == "__main__":
    main()
