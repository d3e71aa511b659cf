"""Asking: what one endpoint takes for the questions that all are asked, by one client and by many."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from urllib.parse import urlencode, urlsplit

import orjson

from benchmarks.result_table import err

TABLE = "application/sparql-results+json"
SECONDS = 5.0  # that each number of clients asks
AT_ONCE = (1, 8, 32)
LARGE = 100_000  # rows of the large answer
COLD, REPEATED = "all queries once, cold, ms", "repeated, 8 at once, /s"
FIRST, LAST = f"{LARGE:,} rows, to the first byte, ms", f"{LARGE:,} rows, to the last, ms"
_TURNS = 3  # times that a question is asked by one client; the median is reported
_fresh = count()

Figure = float | str  # a figure, or why there is none


def crowded(clients: int) -> str:
    """Name the line of so many clients that ask distinct queries."""
    return f"distinct, {clients} at once, /s"


@dataclass(slots=True)
class Column:
    """An endpoint and what was measured of it, by the line's name.

    *more* are parameters of each question; one question may take *patience* seconds, and all of
    them *budget*; the rest is reported as not asked.
    """

    name: str
    url: str
    more: Sequence[tuple[str, str]] = ()
    patience: float = 60.0
    budget: float = 3600.0
    figures: dict[str, Figure] = field(default_factory=dict)
    spent: float = 0.0


class Client:
    """One connection to an endpoint, kept open."""

    def __init__(self, column: Column) -> None:
        self._column, at = column, urlsplit(column.url)
        self._path = at.path or "/"
        self._connection = http.client.HTTPConnection(at.netloc, timeout=column.patience)

    def ask(self, query: str) -> tuple[bytes, float]:
        """Return the answer and the seconds to its first byte; raises OSError where it does not
        come, or is an error.
        """
        head = {"Content-Type": "application/x-www-form-urlencoded", "Accept": TABLE}
        since = time.perf_counter()
        self._connection.request(
            "POST", self._path, urlencode([("query", query), *self._column.more]), head
        )
        answer = self._connection.getresponse()
        first = answer.read(1)
        begun = time.perf_counter() - since
        body = first + answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {body[:200]!r}")
        return body, begun

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def distinct(query: str) -> str:
    """Make a query that was never asked, which no cache holds."""
    return f"{query}\n# {next(_fresh)}"


def measure(column: Column, small: Mapping[str, str], slow: Mapping[str, str], large: str) -> None:
    """Ask an endpoint everything, and keep what it took; the crowds ask what is *slow* enough
    natively to be more than the connection.
    """
    _note(
        column,
        COLD,
        lambda: _combine([_once(column, distinct(query)) for query in small.values()], sum),
    )
    for name, query in small.items():
        _note(
            column,
            f"{name}, ms",
            lambda query=query: _combine(  # type: ignore[misc]
                [_once(column, distinct(query)) for _ in range(_TURNS)], median
            ),
        )
    for clients in AT_ONCE:
        _note(
            column,
            crowded(clients),
            lambda clients=clients: _crowd(column, slow, clients, distinct),  # type: ignore[misc]
        )
    _note(column, REPEATED, lambda: _crowd(column, slow, 8, lambda query: query))
    if large:
        _large(column, large)


def _note(column: Column, line: str, work: Callable[[], Figure]) -> None:
    """Keep what *work* finds, and print it at once; nothing is asked of who has had its time."""
    since = time.perf_counter()
    column.figures[line] = work() if column.spent < column.budget else "not asked"
    column.spent += time.perf_counter() - since
    err.print(f"  {column.name}: {line}: {format_figure(column.figures[line])}")


def format_figure(figure: Figure) -> str:
    """Write a figure for people."""
    return (
        figure
        if isinstance(figure, str)
        else f"{figure:,.1f}"
        if figure < 100
        else f"{figure:,.0f}"
    )


def _combine(figures: Sequence[Figure], joined: Callable[[list[float]], float]) -> Figure:
    """Join seconds as milliseconds; where a question had no answer, report the first error."""
    trouble = next((one for one in figures if isinstance(one, str)), None)
    return trouble or joined([one for one in figures if isinstance(one, float)]) * 1000


def _once(column: Column, text: str) -> Figure:
    client, since = Client(column), time.perf_counter()
    try:
        client.ask(text)
        return time.perf_counter() - since
    except (OSError, http.client.HTTPException) as error:
        return trouble(column, error)
    finally:
        client.close()


def trouble(column: Column, error: Exception) -> str:
    """Return briefly why a question had no answer."""
    return (
        f"over {column.patience:.0f} s"
        if isinstance(error, TimeoutError)
        else f"error {str(error)[:3]}"
    )


def _crowd(
    column: Column, small: Mapping[str, str], clients: int, make_request: Callable[[str], str]
) -> Figure:
    """Return the questions a second that an endpoint answers to some clients at once, each
    beginning with another question.
    """
    end, texts = time.perf_counter() + SECONDS, list(small.values())

    def work(number: int) -> tuple[int, float, str]:
        client, answered, ended = Client(column), 0, ""
        try:
            while time.perf_counter() < end:
                client.ask(make_request(texts[(number + answered) % len(texts)]))
                answered += 1
        except (OSError, http.client.HTTPException) as error:
            ended = trouble(column, error)
        finally:
            client.close()
        return answered, time.perf_counter(), ended

    since = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(work, range(clients)))
    ended = [why for _, _, why in results if why]
    if ended:
        return f"{len(ended)} of {clients} ended: {ended[0]}"
    return sum(answered for answered, _, _ in results) / (max(at for _, at, _ in results) - since)


def _large(column: Column, query: str) -> None:
    spans: list[tuple[float, float]] = []

    def last() -> Figure:
        for _ in range(_TURNS):
            client, since = Client(column), time.perf_counter()
            try:
                body, first = client.ask(distinct(query))
                spans.append((first, time.perf_counter() - since))
            except (OSError, http.client.HTTPException) as error:
                return trouble(column, error)
            finally:
                client.close()
            if (number := len(orjson.loads(body)["results"]["bindings"])) != LARGE:
                return f"only {number:,} rows"
        return median(whole for _, whole in spans) * 1000

    _note(column, LAST, last)
    _note(
        column,
        FIRST,
        lambda: (
            median(first for first, _ in spans) * 1000
            if isinstance(column.figures[LAST], float)
            else "-"
        ),
    )
