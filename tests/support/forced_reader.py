"""A query worker in which the columns answer all queries that they can, even the smallest ones."""

from __future__ import annotations

from multiprocessing.connection import Connection

from publisher.store.workers import reader
from publisher.store.workers.query_request import QueryRequest, Result
from publisher.store.workers.reader import COLUMNS, OpenSnapshot


class ForcedSnapshot(OpenSnapshot):
    """An open snapshot that asks its columns first."""

    def evaluate(
        self, request: QueryRequest, notes: dict[str, object] | None = None
    ) -> tuple[Result, str]:
        """Return the result of *request* and the name of the engine that answers it."""
        is_plain = request.default_graphs is None and request.named_graphs is None
        if is_plain and self.columns:
            result = self.columns.answer(request, 0, notes)
            if result is not None:
                return result, COLUMNS
        return super().evaluate(request, notes)


def run(connection: Connection, memory: int) -> None:
    """Answer queries from *connection* as ``reader.run``."""
    reader.run(connection, memory, ForcedSnapshot)
