"""Assemble the ledger from its parts."""

from __future__ import annotations

from collections.abc import Callable

from harvesters.ledger.finalize import Finalization
from harvesters.ledger.graphs import Graphs
from harvesters.ledger.migrations import Migration
from harvesters.ledger.operator_actions import OperatorActions
from harvesters.ledger.outbox import Outbox
from harvesters.ledger.participation.reported_problems import ReportedProblems
from harvesters.ledger.participation.subscriptions import Subscriptions
from harvesters.ledger.removals import Removals
from harvesters.ledger.run_log import RunLogs
from harvesters.ledger.undo import PreviousRecords


class Ledger(Finalization, PreviousRecords):
    """Runs, staged records and records, and the parts with tables of their own. See ``Database``
    for how it is opened.
    """

    def __init__(
        self,
        url: str,
        lock_timeout: int = 60,
        *,
        on_migration: Callable[[Migration], None] | None = None,
    ) -> None:
        super().__init__(url, lock_timeout, on_migration=on_migration)
        self.operators = OperatorActions(self)
        self.removals = Removals(self)
        self.problems = ReportedProblems(self)
        self.subscriptions = Subscriptions(self)
        self.outbox = Outbox(self)
        self.run_logs = RunLogs(self)
        self.graphs = Graphs(self)
