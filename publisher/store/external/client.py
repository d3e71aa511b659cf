"""An external store: its URLs, its position, and the HTTP client of its SPARQL endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import IO, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
from pyoxigraph import NamedNode, Quad, QueryResultsFormat, QuerySolutions, parse_query_results

from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.errors import (
    MemoryLimit,
    NotReady,
    PublisherError,
    QueryError,
    RowLimit,
    StoreFailure,
    TimeLimit,
)
from publisher.store.snapshots import Snapshot

# The settings, which are environment variables of subprocesses too.
QUERY, UPDATE, GRAPHS = SETTINGS = (
    "STOCKTAKE_SPARQL_URL",
    "STOCKTAKE_SPARQL_UPDATE_URL",
    "STOCKTAKE_GRAPH_STORE_URL",
)
TABLE, TRIPLES = "application/sparql-results+json", "application/n-triples"
SILENCE = 30.0  # seconds without a response to a small query, after which the store counts as down
LONG_SILENCE = 3_600.0  # the same for other queries; the pool kills a worker long before

STATE = "urn:stocktake:store"  # the graph with the position of the store
STATE_QUERY = f"SELECT ?name ?value {{ GRAPH <{STATE}> {{ <{STATE}> ?name ?value }} }}"
# The graph with the merge of all graphs in Virtuoso, whose default graph cannot be written.
MERGE = "urn:stocktake:merge"
# Graphs that Virtuoso creates for itself.
_ENGINE_GRAPHS = (
    "http://www.openlinksw.com/schemas/virtrdf#",
    "http://www.w3.org/2002/07/owl#",  # the conductor's, which Debian recommends
    "http://www.w3.org/ns/ldp#",
    "urn:activitystreams-owl:map",
    "urn:core:services:sparql",
)
# A fresh database of Virtuoso describes its WebDAV folders in the graph http://HOST/DAV/, with HOST
# from [URIQA] DefaultHost in virtuoso.ini.
_WEBDAV_GRAPHS = """SELECT DISTINCT ?graph { GRAPH ?graph { ?folder <http://www.openlinksw.com/schemas/DAV#ownerUser> ?owner }
  FILTER(REGEX(STR(?graph), "^https?://[^/]+/DAV/$")) }"""
_GRAPHS = """SELECT DISTINCT ?graph {{ GRAPH ?graph {{ ?s ?p ?o }}
  FILTER(STR(?graph) > "{last}" && ?graph NOT IN ({hidden})) }} ORDER BY STR(?graph) LIMIT 1000"""

# The messages of Virtuoso, the errors that they mean, and what the client can do.
_ENGINE_ERRORS: tuple[tuple[str, type[PublisherError], str], ...] = (
    (
        r"SR353",
        RowLimit,
        "this store cannot sort so many rows; add LIMIT, or sort the rows yourself",
    ),
    (
        r"22007|DT00\d|Function (year|month|day|hours|minutes|seconds) needs",
        QueryError,
        "this store fails if a single value is not a date; exclude such values with FILTER, or use SUBSTR(STR(?date), 1, 4) for the year",
    ),
    (
        r"S1T00|42000 .*estimated execution time|[Tt]imeout",
        TimeLimit,
        "this store stopped the query at its own time limit",
    ),
    (
        r"SP031.*Unknown function",
        QueryError,
        "this store does not know a function of the query",
    ),
    (
        r"FRVEC|MaxQueryMem|memory exhausted|out of memory",
        MemoryLimit,
        "this store stopped the query at its own memory limit",
    ),
    (
        r"D1CTX|MaxConstructTriples|RDFXX|result set.* limit",
        RowLimit,
        "this store does not return so many triples; narrow the query, or ask the operator to raise MaxConstructTriples in virtuoso.ini",
    ),
)
_GEOMETRY = b"http://www.openlinksw.com/schemas/virtrdf#Geometry"
_WKT = b"http://www.opengis.net/ont/geosparql#wktLiteral"
_POINT = re.compile(rb"POINT\(([-+.\deE]+) ([-+.\deE]+)\)")
_BOOLEAN = re.compile(rb'(?<=#boolean", "value": ")[01](?=")|(?<=")[01](?="\^\^<[^>]*#boolean>)')


@dataclass(frozen=True, slots=True)
class StoreURLs:
    """URLs for queries and updates (SPARQL 1.1 Protocol) and for graphs (Graph Store Protocol; ""
    if not supported). They may contain a user and password.
    """

    query: str
    update: str
    graphs: str = ""

    @property
    def folder(self) -> str:
        """Return the name of the folder with the snapshots and indexes of that store."""
        return (
            f"elsewhere-{blake2b(without_password(self.query).encode(), digest_size=4).hexdigest()}"
        )

    def environment(self) -> dict[str, str]:
        """Return the same settings as environment variables for a subprocess."""
        return dict(zip(SETTINGS, (self.query, self.update, self.graphs), strict=True))


def without_password(url: str) -> str:
    """Return a URL without its user and password.

    >>> without_password("http://dba:x%40y@host:8890/sparql-auth")
    'http://host:8890/sparql-auth'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def parse_settings(query: str, update: str = "", graphs: str = "") -> StoreURLs | None:
    """Parse the settings; None if the store is embedded. Raises ValueError if they are not valid.

    >>> parse_settings("http://127.0.0.1:7878/query", "http://127.0.0.1:7878/update").update
    'http://127.0.0.1:7878/update'
    """
    for name, url in zip(SETTINGS, (query, update, graphs), strict=True):
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError(f"{name} is not a URL, e.g. http://127.0.0.1:8890/sparql")
    if not query and (update or graphs):
        raise ValueError(f"{UPDATE} and {GRAPHS} need {QUERY}")
    return StoreURLs(query, update or query, graphs) if query else None


def from_environment() -> StoreURLs:
    """Return the URLs that the parent process wrote with ``StoreURLs.environment``."""
    return StoreURLs(*(os.environ[name] for name in SETTINGS))


@dataclass(frozen=True, slots=True)
class State:
    """The state of a store, which is in its graph STATE: *position* and *entry* are the number and
    id of the last completely loaded journal entry, *quads* is the number of its quads.

    *applying* is the number of the entry that is being loaded, 0 if there is none. *writer* holds
    the lease until *until*, in seconds since 1970.
    """

    position: int = 0
    entry: str = ""
    quads: int = 0
    applying: int = 0
    writer: str = ""
    until: int = 0

    def update(self) -> str:
        values = " ; ".join(f'<{STATE}#{name}> "{value}"' for name, value in asdict(self).items())
        delete = f"DELETE WHERE {{ GRAPH <{STATE}> {{ <{STATE}> ?name ?value }} }}"
        return f"{delete} ;\nINSERT DATA {{ GRAPH <{STATE}> {{ <{STATE}> {values} }} }}"


FOREIGN = "the SPARQL store follows another journal; rebuild it with stocktake store rebuild"


def missing_data(state: State | None, position: int, entry: str) -> str:
    """Return why a store in *state* cannot answer as of the published entry number *position* with
    the id *entry*; "" if it can.

    >>> missing_data(State(2, "ab"), 3, "cd")
    'the SPARQL store has lost data: it is at entry 2 of 3; it is being loaded again'
    """
    if state is None:
        return "the SPARQL store is empty or not this publisher's; an empty one is being loaded"
    if state.position < position:
        return f"the SPARQL store has lost data: it is at entry {state.position} of {position}; it is being loaded again"
    return FOREIGN if state.position == position and state.entry != entry else ""


class Dialect(NamedTuple):
    """How an engine differs: *merged* is the graph with the merge of all graphs, "" if that is the
    default graph; *hidden* are the graphs that ``GRAPH ?g`` must not match, as the list of an ``IN``.
    """

    merged: str
    hidden: str


class Client:
    """A client of the SPARQL endpoint *url*, which may contain a user and password (Basic
    authentication): one open connection, queries by POST, streamed responses.
    """

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self.host = urlsplit(without_password(url)).netloc
        self._http = httpx.Client(trust_env=False, headers={"Accept-Encoding": "identity"})
        self._open: httpx.Response | None = None

    def close(self) -> None:
        self._http.close()

    @cached_property
    def dialect(self) -> Dialect:
        """Return the dialect of the engine. Raises PublisherError."""
        server = self.ask("ASK { }", TABLE, seconds=SILENCE).headers.get("Server", "")
        if not server.startswith("Virtuoso"):
            return Dialect("", f"<{STATE}>")
        graphs = [row["graph"] for row in self.rows(_WEBDAV_GRAPHS, SILENCE)]
        hidden = (STATE, MERGE, *_ENGINE_GRAPHS, *sorted(graphs))
        return Dialect(MERGE, ", ".join(f"<{graph}>" for graph in hidden))

    def ask(
        self,
        query: str,
        accept: str,
        graphs: Mapping[str, Sequence[str]] | None = None,
        *,
        seconds: float = LONG_SILENCE,
    ) -> httpx.Response:
        """Send a query, with the *graphs* of its dataset by parameter; return the response, whose
        body is not read yet. Raises PublisherError, also if the store sends nothing for *seconds*.
        """
        if self._open:
            self._open.close()  # with the unread rest of the last response
        form = {"query": query, **(graphs or {})}
        try:
            request = self._http.build_request(
                "POST", self._url, data=form, headers={"Accept": accept}, timeout=seconds
            )
            self._open = self._http.send(request, stream=True)
            error = "" if self._open.is_success else self._open.read().decode(errors="replace")
        except httpx.TransportError as failure:
            raise NotReady(
                f"the store at {self.host} does not answer ({failure}); try again in a moment"
            ) from failure
        if self._open.is_success:
            return self._open
        raise _parse_error(self._open.status_code, error, self.host)

    def rows(self, query: str, seconds: float = LONG_SILENCE) -> list[dict[str, str]]:
        """Return the rows of a result, values by variable. Raises PublisherError, also if the
        response stops or stalls for *seconds*.
        """
        response = self.ask(query, TABLE, seconds=seconds)
        try:
            rows = json.loads(response.read())["results"]["bindings"]
        except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
            raise NotReady(
                f"the response of the store at {self.host} is no complete result in JSON ({error}); try again in a moment"
            ) from error
        return [{name: cell["value"] for name, cell in row.items()} for row in rows]

    def state(self, seconds: float = SILENCE) -> State | None:
        """Return the state of the store; None if it has none. Raises PublisherError."""
        rows = self.rows(STATE_QUERY, seconds)
        values = {row["name"].removeprefix(f"{STATE}#"): row["value"] for row in rows}
        if "position" not in values:
            return None
        defaults = asdict(State()).items()
        return State(**{name: type(item)(values.get(name, item)) for name, item in defaults})

    def file(self, response: httpx.Response) -> IO[bytes]:
        """Return the body of *response* as a file, with the literals that Virtuoso changes restored."""
        # The parsers call nothing but ``read``.
        return cast(IO[bytes], _Body(response, is_repaired=bool(self.dialect.merged)))

    def graphs(self) -> Iterator[NamedNode]:
        """Yield the graphs except hidden ones, a page at a time."""
        last, hidden = "", self.dialect.hidden
        while page := self.rows(_GRAPHS.format(last=last, hidden=hidden)):
            yield from (NamedNode(row["graph"]) for row in page)
            last = page[-1]["graph"]

    def quads(self, graph: NamedNode) -> list[Quad]:
        """Return all quads of a named graph. Raises StoreFailure if the store truncates them."""
        response = self.ask(f"SELECT ?s ?p ?o {{ GRAPH {graph} {{ ?s ?p ?o }} }}", TABLE)
        if max_rows(response) is not None:
            raise StoreFailure(
                f"the store truncated the graph {graph}; raise its limits (docs/how-to/external-store.md)"
            )
        solutions = parse_query_results(self.file(response), QueryResultsFormat.JSON)
        assert isinstance(solutions, QuerySolutions)
        return [Quad(row["s"], row["p"], row["o"], graph) for row in solutions]


def max_rows(response: httpx.Response) -> int | None:
    """Return how many rows of a result that Virtuoso truncated may be sent: one fewer than there
    are, so that the result is marked as truncated. None if it is complete. Raises TimeLimit if it
    is a part because the time was up.
    """
    if state := response.headers.get("X-SQL-State"):
        raise TimeLimit(
            f"this store stopped the query at its own limit ({state}); narrow it, or run it as an export"
        )
    rows = response.headers.get("X-SPARQL-MaxRows")
    return max(0, int(rows) - 1) if rows else None


def _parse_error(status: int, text: str, host: str) -> PublisherError:
    message = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for pattern, error, advice in _ENGINE_ERRORS:
        if re.search(pattern, text):
            return error(f"{advice} ({message})")
    kind = QueryError if status < 500 else StoreFailure
    return kind(f"the store at {host} answers {status}: {message}")


class _Body:
    """The body of a response as a file of which only ``read`` exists."""

    def __init__(self, response: httpx.Response, *, is_repaired: bool) -> None:
        self._chunks = _repaired(response) if is_repaired else response.iter_bytes()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most *size* bytes, b"" at the end. Raises OSError if the response breaks off."""
        try:
            while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
                self._rest += chunk
        except httpx.TransportError as error:
            raise OSError(f"the response of the store broke off: {error}") from error
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _repaired(response: httpx.Response) -> Iterator[bytes]:
    rest = b""
    for chunk in response.iter_bytes():
        lines, end, rest = (rest + chunk).rpartition(b"\n")
        yield b"".join(map(repair_line, (lines + end).splitlines(keepends=True)))
    yield repair_line(rest)


def repair_line(line: bytes) -> bytes:
    """Return a line of a result of Virtuoso with its WKT points, which become geometries of
    Virtuoso's own with 32-bit numbers, and its booleans, which become 0 and 1, as they were loaded.

    >>> repair_line(b'"POINT(37.989898681641 2.3283998966217)"^^<http://www.openlinksw.com/schemas/virtrdf#Geometry> .')
    b'"POINT(37.9899 2.3284)"^^<http://www.opengis.net/ont/geosparql#wktLiteral> .'
    >>> repair_line(b'<x:s> <x:p> "1"^^<http://www.w3.org/2001/XMLSchema#boolean> .')
    b'<x:s> <x:p> "true"^^<http://www.w3.org/2001/XMLSchema#boolean> .'
    """
    line = _BOOLEAN.sub(lambda digit: b"true" if digit[0] == b"1" else b"false", line)
    # In N-Triples the datatype is unchanged, but the numbers are not.
    if _GEOMETRY not in line and _WKT not in line:
        return line
    return _POINT.sub(
        lambda point: f"POINT({_seven_digits(point[1])} {_seven_digits(point[2])})".encode(),
        line.replace(_GEOMETRY, _WKT),
    )


def _seven_digits(number: bytes) -> str:
    """Return a 32-bit number as a plain decimal; more digits than seven are noise."""
    return f"{Decimal(f'{float(number):.7g}'):f}"


INTERVAL = 5.0  # seconds between two probes
TIMEOUT = 10.0  # seconds without a response after which the store counts as down


class StoreProbe:
    """Probe the store at *url* repeatedly. *failure* is why it cannot answer, or not with all that is
    published, by the last probe; "" if it can. *is_foreign* is whether it follows another journal
    than *journal*.

    *snapshot* returns what is published, None before the first.
    """

    def __init__(self, url: str, journal: Journal, snapshot: Callable[[], Snapshot | None]) -> None:
        self.failure, self.is_foreign = "", False
        self._url, self._journal, self._snapshot = url, journal, snapshot

    async def run(self) -> None:
        """Probe until cancelled; log the start and end of an outage."""
        outage = Outage(
            "SPARQL store does not answer queries", "SPARQL store answers queries again"
        )
        with closing(Client(self._url)) as client:
            while True:
                self.failure = await asyncio.to_thread(self.check, client)
                if self.failure:
                    outage.failed(self.failure, host=client.host)
                else:
                    outage.over()
                await asyncio.sleep(INTERVAL)

    def check(self, client: Client) -> str:
        """Return why the store cannot answer, "" if it can."""
        try:
            state = client.state(TIMEOUT)
        except (PublisherError, ValueError) as error:
            return str(error)
        if (snapshot := self._snapshot()) is None:
            return ""  # nothing is answered yet
        with suppress(JournalError):  # reported elsewhere
            entry = self._journal.entry(state.position) if state else None
            self.is_foreign = bool(state and entry and entry.id != state.entry)
        return (
            FOREIGN if self.is_foreign else missing_data(state, snapshot.position, snapshot.entry)
        )
