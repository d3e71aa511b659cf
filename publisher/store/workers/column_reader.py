"""A query worker: a process that opens a snapshot read-only and answers one query at a time, by the
columns of the snapshot if that is faster, else by its RDF store.

``worker`` starts it with one end of a pipe. It runs until the pipe is closed; it is killed at the
time limit.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import logging
import os
import platform
import re
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from pyoxigraph import Store

from journal.file_lock import SharedLock
from publisher.errors import MemoryLimit, PublisherError, QueryError, StoreFailure
from publisher.store.columns.engine import SMALL, open_columns
from publisher.store.columns.query_parser import parse
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import ask, count_rows, evaluate, uses_named_graphs
from publisher.store.workers.results import (
    STORE,
    End,
    Result,
    ResultWriter,
    send,
    send_result,
)

COLUMNS = "columns"  # the name of the engine
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries read many triples for a small result. A word in a comment or a string counts
# too.
_BLOCKING = re.compile(
    r"\b(?:COUNT|SUM|MIN|MAX|AVG|SAMPLE|GROUP_CONCAT|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE
)
_FIRST_QUERY = 'SELECT (COUNT(?s) AS ?n) { ?s <x:p> ?o FILTER(?o != "") } GROUP BY ?o ORDER BY ?n'
_OTHER_FORM = re.compile(r"\b(?:CONSTRUCT|DESCRIBE)\b", re.IGNORECASE)  # which is not compiled
_FIRST_TERM = re.compile(r"\{\s*+([<?$\w]?)")  # first character of each group
# a group whose first subject is an IRI
_POINT = re.compile(r"\{\s*+(?:<[^<>{\s]*+>|[\w-]*+:[\w.-]*+)\s++[^\s{]")
# start of the engine's message if a query calls an unknown function
_UNKNOWN_FUNCTION = "The custom function"

# of <linux/prctl.h>, <linux/seccomp.h> and <malloc.h>
_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 1, 38, 22, 2
_TRIM_THRESHOLD, _ARENA_MAX = -1, -8
_SOCKET = {"x86_64": 41, "aarch64": 198, "riscv64": 198}  # the number of socket(2)
_UNUSED = 1_000_000  # bytes that malloc may keep unused


class QueriedSnapshot(Protocol):
    """What a worker has open."""

    def answer(self, request: QueryRequest, connection: Connection) -> None:
        """Send the response to *request*. Raises PublisherError."""

    def close(self) -> None:
        """Close it."""


class OpenSnapshot:
    """An open snapshot with its columns, if these are at the same journal position as its store. A
    shared lock on its folder protects it from removal.
    """

    def __init__(self, path: str) -> None:
        self._lock = SharedLock(path)
        self.store = Store.read_only(str(Path(path) / "store"))
        # None if there are none at the position of the store
        self.columns = open_columns(Path(path))

    def answer(self, request: QueryRequest, connection: Connection) -> None:
        """Send the response to *request*, which may only check or explain the query."""
        if request.check:
            evaluate(Store(), request)
            return ResultWriter(connection, "").end()
        if request.explain:
            writer = ResultWriter(connection, "")
            explanation = json.dumps(self.explain(request), ensure_ascii=False, indent=1)
            writer.write(explanation.encode())
            return writer.end()
        result, engine = self.evaluate(request)
        return send_result(result, request, connection, engine)

    def evaluate(self, request: QueryRequest) -> tuple[Result, str]:
        """Return the result of *request* and the name of the engine that answers it. Raises
        QueryError if it is not a query.
        """
        if uses_named_graphs(request):
            return self._evaluate_named(request)
        if self.columns and may_compile(request):
            result = self.columns.answer(request)
            if result is not None:
                return result, COLUMNS
        return evaluate(self.store, request), STORE

    def _evaluate_named(self, request: QueryRequest) -> tuple[Result, str]:
        """Return the result of a query over named graphs, which the RDF store does not have, as
        ``evaluate``. Raises MemoryError if it would have to read too many quads.
        """
        evaluate(Store(), request)  # raises QueryError if it is not a query
        if self.columns is None:
            raise StoreFailure("the named graphs of this state cannot be read")
        is_plain = request.default_graphs is None and request.named_graphs is None
        if is_plain and not request.bindings and request.release is None:
            compiled = self.columns.answer(request, SMALL)
            if compiled is not None:
                return compiled, COLUMNS
        try:
            return ask(self.columns.matching(request, self.store), request), STORE
        except MemoryError:
            if is_plain and (result := self.columns.answer(request, 0)) is not None:
                return result, COLUMNS
            raise

    def explain(self, request: QueryRequest) -> dict[str, object]:
        """Evaluate *request*; return the ``engine``, the ``reason`` for it, and the number of
        ``rows``, with SQL and steps where it is compiled.
        """
        is_named = uses_named_graphs(request)
        if not self.columns:
            explanation = _not_compiled("the columns of this state are not open")
        elif is_named or may_compile(request):
            explanation = self.columns.explain(request, SMALL if is_named else None)
        else:
            explanation = _not_compiled(
                "not parsed: it does not count, sort or group, or begins at known subjects"
            )
        if explanation["engine"] == COLUMNS:
            return explanation
        result = self._evaluate_named(request)[0] if is_named else evaluate(self.store, request)
        return {**explanation, "rows": count_rows(result, request.rows)}

    def close(self) -> None:
        """Close the store and the columns, and release the lock.

        Frames of the query parser's exceptions refer to results, and these to the store: without a
        collection its files would stay open, even after they are deleted.
        """
        if self.columns:
            self.columns.close()
        del self.store
        gc.collect()
        self._lock.close()


def _not_compiled(reason: str) -> dict[str, object]:
    return {"engine": STORE, "reason": reason}


def may_compile(request: QueryRequest) -> bool:
    """Return whether *request* is worth parsing for the columns, which takes ten milliseconds.

    A client's query of a release is not: its answer must be the same, byte for byte, whenever it is
    sent.
    """
    is_plain = (
        request.default_graphs is None and request.named_graphs is None and request.release is None
    )
    return (
        is_plain
        and not request.bindings  # what is bound has few solutions
        and request.table is not None
        and len(request.text) <= _MAX_LENGTH
        and _OTHER_FORM.search(request.text) is None
        and _BLOCKING.search(request.text) is not None
        and not is_point_query(request.text)
    )


def is_point_query(text: str) -> bool:
    """Return whether each group begins with a triple whose subject is an IRI: the RDF store is fast
    for such queries.

    >>> is_point_query("SELECT DISTINCT ?o { <x:s> ?p ?o }"), is_point_query("SELECT (COUNT(*) AS ?n) { ?s <x:p> <x:o> }")
    (True, False)
    """
    groups = len(_FIRST_TERM.findall(text))
    return groups > 0 and len(_POINT.findall(text)) == groups


def run(
    connection: Connection,
    memory: int,
    open_snapshot: Callable[[str], QueriedSnapshot] = OpenSnapshot,
) -> None:
    """Limit this process to *memory* bytes and no sockets, and answer queries from *connection*."""
    limit_process(memory)
    # The engine would send SERVICE requests to the network, and ``uses_service`` should not be the
    # only protection against that.
    refuse_sockets()
    # it logs a warning for every ill-typed literal in a query
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)
    serve(connection, open_snapshot)


def serve(connection: Connection, open_snapshot: Callable[[str], QueriedSnapshot]) -> None:
    """Answer queries from the snapshots that *open_snapshot* opens, until the server closes the
    pipe. A message is a query, or the folder of the snapshot to open.
    """
    snapshot: QueriedSnapshot | None = None
    with suppress(EOFError, ConnectionError):
        while True:
            message: QueryRequest | str = connection.recv()
            try:
                if isinstance(message, QueryRequest):
                    assert snapshot is not None, "no snapshot is open"
                    snapshot.answer(message, connection)
                else:
                    if snapshot:
                        snapshot.close()
                    snapshot = open_snapshot(message)
                    send(connection, [End()])
            except PublisherError as error:
                send(connection, [error])
            except MemoryError:
                send(connection, [MemoryLimit()])
            except (OSError, RuntimeError, ValueError) as error:
                is_query = str(error).startswith(_UNKNOWN_FUNCTION)
                kind = QueryError if is_query else StoreFailure
                send(connection, [kind(str(error))])


def limit_process(memory: int) -> None:
    """Limit the address space of this process to *memory* bytes, disable core dumps, which would
    fill the disk, and let it end with the server and with the process that forked it.
    """
    gc.freeze()  # imported objects are never collected, so that their memory stays shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which ends its children
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        with suppress(AttributeError):  # a libc without these options
            # otherwise idle threads reserve a third of the memory limit
            libc.mallopt(_ARENA_MAX, 2)
            libc.mallopt(_TRIM_THRESHOLD, _UNUSED)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_exit_with_server, daemon=True).start()


def _exit_with_server() -> None:
    if server := parent_process():
        server.join()
        os._exit(1)


def refuse_sockets() -> bool:
    """Forbid this process to open sockets by a seccomp filter; return whether the system supports
    that (Linux on a known architecture).

    Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    number = _SOCKET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    instructions = (
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, number),  # unless it is socket(2), skip one
        (0x06, 0, 0, 0x00050000 | errno.EACCES),  # let it fail
        (0x06, 0, 0, 0x7FFF0000),  # allow it
    )
    steps = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    steps_buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(instructions), ctypes.addressof(steps_buffer))
    libc = ctypes.CDLL(None)
    return bool(
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.prctl(_SECCOMP, _FILTER, program, 0, 0) == 0
    )


# The first query completes rdflib's grammar, in 50 ms and 8 MB: once in the process that workers are
# forked from, and not in each of them.
parse(_FIRST_QUERY)
