"""A query worker in which the columns answer every query that they can, however little it visits."""

from __future__ import annotations

import socket
from pathlib import Path

from publisher.store.columns.snapshot_columns import open_columns
from publisher.store.workers import reader
from publisher.store.workers.column_reader import COLUMNS
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import OpenSnapshot, Result


class ForcedSnapshot(OpenSnapshot):
    """An open snapshot that asks its columns first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        columns = open_columns(Path(path), self.store, small=0)
        assert columns
        self._columns = columns

    def evaluate(self, query_request: QueryRequest) -> tuple[Result, str]:
        """Return the result of *query_request* and the name of the engine that answers it."""
        if (result := self._columns.answer(query_request)) is not None:
            return result, COLUMNS
        return super().evaluate(query_request)

    def close(self) -> None:
        """Close the columns and the store."""
        self._columns.close()
        super().close()


def run(connection: socket.socket, memory: int, parent: int) -> None:
    """Serve *connection* as ``reader.run``."""
    reader.run(connection, memory, parent, ForcedSnapshot)
