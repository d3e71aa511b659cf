"""Sheets: the desk's pages to look at."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.desk import keyring, listing, plans, records
from harvesters.desk.gate import Guest, Here, Visitor, meant_for, page
from harvesters.desk.keys import Scope
from harvesters.desk.office import Office
from harvesters.desk.pages import Pages
from harvesters.desk.standing import source_views
from harvesters.desk.views import key_view
from harvesters.ledger.account import Outcome, State
from harvesters.runs.decide import RAISABLE
from vocab.iris import Iris

_FEW = 15  # rows of a list on the overview
_ROWS = 50  # rows of a page
# What each outcome means for who has to decide.
MEANINGS: Mapping[Outcome, str] = {
    Outcome.NEW: "not published yet",
    Outcome.CHANGED: "published, and now other",
    Outcome.UNCHANGED: "as they are published",
    Outcome.RETURNED: "had vanished, and are back",
    Outcome.REIDENTIFIED: "known content under a new key",
    Outcome.WITHHELD: "broke a rule; their last good data stays",
    Outcome.UNREADABLE: "could not be read; their last good data stays",
    Outcome.DUPLICATE: "a key that came twice in this run",
    Outcome.DELETED: "deleted by the source: a tombstone",
    Outcome.ABSENT: "deleted by the source, and never here",
    Outcome.VANISHED: "did not come: still served, and marked",
    Outcome.MISSING: "did not come again: still served, and marked",
    Outcome.LOST: "did not come in their time of grace: a tombstone",
    Outcome.REPLACED: "came under another key: a tombstone that names it",
}

routes = APIRouter(include_in_schema=False, dependencies=[Depends(page)])


def pages_of(request: Request) -> Pages:
    """Give the templates that the app was made with."""
    pages: Pages = request.app.state.pages
    return pages


@routes.get("/")
def overview(request: Request, visitor: Guest, office: Here) -> Response:
    """Show what waits, how each source stands, and the last runs."""
    told = {
        "visitor": visitor,
        "plans": listing.runs(office.ledger, _ROWS, state=State.HELD).items,
        "sources": source_views(office),
        "wrong": office.wrong_cards(),
        "origin": office.origin(),
        "errands": [it for it in office.ledger.errands() if it.run is None],
        "runs": listing.runs(office.ledger, _FEW).items,
    }
    return pages_of(request).page("overview.html", told)


@routes.get("/page/runs")
def runs(request: Request, visitor: Guest, office: Here, source: str | None = None, after: str | None = None) -> Response:
    """Show all runs, or one source's."""
    found = listing.runs(office.ledger, _ROWS, after, source)
    return pages_of(request).page("runs.html", {"visitor": visitor, "runs": found.items, "next": found.next, "source": source})


@routes.get("/page/runs/{id}")
def run(id: str, request: Request, visitor: Guest, office: Here, outcome: Outcome | None = None, after: int | None = None) -> Response:
    """Show a run's account, with the decision to take where its plan is open, and the records of one outcome."""
    it = listing.run(office.ledger, id)
    plan = plans.view(office, it)
    kinds = plans.told(plan.outcomes)
    chosen = outcome or next((kind for kind, _ in kinds if kind is not Outcome.UNCHANGED), None)
    found = records.listed(office.ledger, it, chosen, _ROWS, after, diff=Iris(office.base)) if chosen else records.Records([], None)
    told = {"plan": plan, "run": plan.run, "kinds": kinds, "meanings": MEANINGS, "limits": RAISABLE}
    return pages_of(request).page("run.html", {"visitor": visitor, "chosen": chosen, "records": found, **told})


@routes.get("/page/acts")
def acts(request: Request, visitor: Guest, office: Here, source: str | None = None, after: int | None = None) -> Response:
    """Show who did what."""
    found = listing.acts(office.ledger, _ROWS, after, source)
    return pages_of(request).page("acts.html", {"visitor": visitor, "acts": found.items, "next": found.next, "source": source})


@routes.get("/page/keys")
def keys(request: Request, visitor: Guest, office: Here) -> Response:
    """Show the keys, to administrators."""
    meant_for(visitor, Scope.ADMIN)
    return key_page(request, visitor, office)


def key_page(request: Request, visitor: Visitor, office: Office, token: str | None = None) -> Response:
    """Show the keys, and a *token* that was just made."""
    found = [key_view(key, office.now()) for key in keyring.listed(office.ledger)]
    told = {"keys": found, "token": token, "scopes": list(Scope), "longest": keyring.LONGEST}
    return pages_of(request).page("keys.html", {"visitor": visitor, **told})
