"""A worker process that holds a sandbox store and runs queries and updates on it.

It is a reader that may write: started in the same way, with the same limits. What it has not finished when it is killed is undone by the
store; an update that leaves too much in it is undone here.
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
from publisher.store.workers.reader import QueryFailure, answer, evaluate, parse_engine_error, start_worker
from publisher.store.workers.update import Update


class SandboxStore:
    """The store in *folder*, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._path, self._before = folder / "store", folder / "before"
        self.store = Store(str(self._path))

    def write(self, update: Update) -> None:
        """Apply *update* wholly or not at all; raise QueryFailure where it cannot be."""
        shutil.rmtree(self._before, ignore_errors=True)
        self.store.flush()
        self.store.backup(str(self._before))
        try:
            self.store.update(update.text, base_iri=update.base)
        except SyntaxError as error:
            raise parse_engine_error(str(error)) from error
        except (OSError, RuntimeError) as error:
            raise QueryFailure("QueryError", f"the update cannot be done here: {error}") from error
        if len(self.store) > update.most:
            self._undo()
            raise QueryFailure("RowLimit", f"a scratch store has at most {update.most} quads; this update is undone")

    def _undo(self) -> None:
        del self.store
        shutil.rmtree(self._path)
        self._before.rename(self._path)
        self.store = Store(str(self._path))


def serve(connection: socket.socket) -> None:
    """Run queries and updates until the other side closes the socket."""
    frames = connection.makefile("rb")
    sheet: SandboxStore | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                sheet = SandboxStore(Path(payload.decode()))
                connection.sendall(pack(Kind.END))
            elif kind is Kind.WRITE and sheet:
                sheet.write(Update.unpack(payload))
                connection.sendall(pack(Kind.END, str(len(sheet.store)).encode()))
            elif sheet:
                question = QueryRequest.unpack(payload)
                answer(evaluate(sheet.store, question), question, connection)
        except QueryFailure as refusal:
            connection.sendall(pack(Kind.FAULT, json.dumps(refusal.payload).encode()))
        except MemoryError:
            connection.sendall(pack(Kind.FAULT, b'{"reason": "MemoryLimit", "message": ""}'))
        except (OSError, RuntimeError, ValueError) as error:
            connection.sendall(pack(Kind.FAULT, json.dumps({"reason": "QueryError", "message": str(error)}).encode()))


if __name__ == "__main__":
    serve(start_worker(sys.argv[1:4]))
