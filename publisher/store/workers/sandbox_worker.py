"""A worker process that holds a sandbox store and runs queries and updates on it.

It is started like a reader, with the same limits. If it is killed, the store rolls back an
unfinished update. An update that exceeds the maximum size is rolled back here.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path

from pyoxigraph import Store

from publisher.store.workers.ipc_protocol import Kind, pack, read
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import (
    QueryFailure,
    answer,
    evaluate,
    limit_worker,
    parse_arguments,
    parse_engine_error,
)
from publisher.store.workers.update import Update


class SandboxStore:
    """The store in *folder*, which is created if missing."""

    def __init__(self, folder: Path) -> None:
        self._path, self._backup = folder / "store", folder / "before"
        self.store = Store(str(self._path))

    def write(self, update: Update) -> None:
        """Apply *update* atomically. Raises QueryFailure if it fails or leaves too many quads."""
        shutil.rmtree(self._backup, ignore_errors=True)
        self.store.flush()
        self.store.backup(str(self._backup))
        try:
            self.store.update(update.text, base_iri=update.base)
        except SyntaxError as error:
            raise parse_engine_error(str(error), update.text) from error
        except (OSError, RuntimeError) as error:
            raise QueryFailure("QueryError", f"the update failed: {error}") from error
        if len(self.store) > update.max_quads:
            self._restore_backup()
            raise QueryFailure(
                "RowLimit",
                f"a scratch store has at most {update.max_quads} quads; this update was rolled back",
            )

    def _restore_backup(self) -> None:
        del self.store
        shutil.rmtree(self._path)
        self._backup.rename(self._path)
        self.store = Store(str(self._path))


def serve(connection: socket.socket) -> None:
    """Run queries and updates until the server closes the socket."""
    frames = connection.makefile("rb")
    sandbox: SandboxStore | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                sandbox = SandboxStore(Path(payload.decode()))
                connection.sendall(pack(Kind.END))
            elif kind is Kind.WRITE and sandbox:
                sandbox.write(Update.unpack(payload))
                connection.sendall(pack(Kind.END, str(len(sandbox.store)).encode()))
            elif sandbox:
                query_request = QueryRequest.unpack(payload)
                answer(evaluate(sandbox.store, query_request), query_request, connection)
        except QueryFailure as failure:
            connection.sendall(pack(Kind.FAULT, json.dumps(failure.payload).encode()))
        except MemoryError:
            connection.sendall(pack(Kind.FAULT, b'{"reason": "MemoryLimit", "message": ""}'))
        except (OSError, RuntimeError, ValueError) as error:
            connection.sendall(
                pack(
                    Kind.FAULT, json.dumps({"reason": "QueryError", "message": str(error)}).encode()
                )
            )


def main() -> None:
    """Serve the socket that the arguments name."""
    connection, memory, parent = parse_arguments(sys.argv[1:4])
    limit_worker(memory, parent)
    serve(connection)


if __name__ == "__main__":
    main()
