"""Assemble the ledger from its parts."""

from __future__ import annotations

from harvesters.ledger.finalize import Finalization
from harvesters.ledger.graphs import Graphs
from harvesters.ledger.operator_actions import OperatorActions
from harvesters.ledger.outbox import Outbox
from harvesters.ledger.participation.reported_problems import ReportedProblems
from harvesters.ledger.participation.subscriptions import Subscriptions
from harvesters.ledger.removals import Removals
from harvesters.ledger.run_log import RunLogs
from harvesters.ledger.undo import PreviousRecords


class Ledger(
    Finalization, PreviousRecords, OperatorActions, Removals, ReportedProblems, Subscriptions, Outbox, RunLogs, Graphs
):
    """The whole ledger: runs, staged records, records, operator actions, graphs. See ``Database`` for how it is opened."""
