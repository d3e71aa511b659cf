"""Scribe: a worker process that holds a scratch store, answers questions of it and writes what it is told.

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
from publisher.store.workers.reader import Refusal, answer, begin, evaluate, fault
from publisher.store.workers.update import Update


class Sheet:
    """The store in *folder*, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._path, self._before = folder / "store", folder / "before"
        self.store = Store(str(self._path))

    def write(self, update: Update) -> None:
        """Apply *update* wholly or not at all; raise Refusal where it cannot be."""
        shutil.rmtree(self._before, ignore_errors=True)
        self.store.flush()
        self.store.backup(str(self._before))
        try:
            self.store.update(update.text, base_iri=update.base)
        except SyntaxError as error:
            raise fault(str(error)) from error
        except (OSError, RuntimeError) as error:
            raise Refusal("QueryError", f"the update cannot be done here: {error}") from error
        if len(self.store) > update.most:
            self._undo()
            raise Refusal("RowLimit", f"a scratch store has at most {update.most} quads; this update is undone")

    def _undo(self) -> None:
        del self.store
        shutil.rmtree(self._path)
        self._before.rename(self._path)
        self.store = Store(str(self._path))


def attend(connection: socket.socket) -> None:
    """Answer and write until the other side closes."""
    frames = connection.makefile("rb")
    sheet: Sheet | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                sheet = Sheet(Path(payload.decode()))
                connection.sendall(pack(Kind.END))
            elif kind is Kind.WRITE and sheet:
                sheet.write(Update.unpack(payload))
                connection.sendall(pack(Kind.END, str(len(sheet.store)).encode()))
            elif sheet:
                question = QueryRequest.unpack(payload)
                answer(evaluate(sheet.store, question), question, connection)
        except Refusal as refusal:
            connection.sendall(pack(Kind.FAULT, json.dumps(refusal.payload).encode()))
        except MemoryError:
            connection.sendall(pack(Kind.FAULT, b'{"reason": "MemoryLimit", "message": ""}'))
        except (OSError, RuntimeError, ValueError) as error:
            connection.sendall(pack(Kind.FAULT, json.dumps({"reason": "QueryError", "message": str(error)}).encode()))


if __name__ == "__main__":
    attend(begin(sys.argv[1:4]))
