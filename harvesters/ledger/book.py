"""The book: the ledger's one class, over any database that SQLAlchemy speaks to."""

from __future__ import annotations

from harvesters.ledger.decisions import Decisions
from harvesters.ledger.graphs import Graphs
from harvesters.ledger.settling import Settling


class Ledger(Settling, Decisions, Graphs):
    """The ledger, whole: runs, drafts, records, decisions, graphs; ``Door`` tells how it is opened."""
