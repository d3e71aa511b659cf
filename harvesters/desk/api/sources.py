"""Sources: how each stands; run now, hold, release."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.desk import deeds
from harvesters.desk.gate import Here, Operator, Reader
from harvesters.desk.standing import source_view, source_views
from harvesters.desk.views import ErrandView, SourceView, errand_view

routes = APIRouter(tags=["sources"])


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunWanted:
    """A run now; *full* reads all, not only what changed since the last. *supersede* is the id of the plan that waits for approval."""

    full: bool = False
    supersede: Annotated[str, Field(max_length=200)] = ""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class HoldWanted:
    """Why a source is to be held."""

    reason: Annotated[str, Field(max_length=deeds.NOTE)] = ""


@routes.get("/sources")
def list_sources(key: Reader, office: Here) -> list[SourceView]:
    """List the sources: how fresh each is, its last run, its open plan, whether it is on hold."""
    return source_views(office)


@routes.get("/sources/{name}")
def show_source(name: str, key: Reader, office: Here) -> SourceView:
    """Show how a source stands."""
    return source_view(office, name)


@routes.post("/sources/{name}/runs", status_code=HTTPStatus.ACCEPTED)
def run_now(name: str, key: Operator, office: Here, response: Response, wanted: RunWanted | None = None) -> ErrandView:
    """Ask for a run now; the schedule takes it up within seconds. The answer's Location is the errand's.

    409 where a plan of the source waits for approval that `supersede` does not name: the run would supersede it.
    """
    wanted = wanted or RunWanted()
    errand = deeds.ask(office, key, name, full=wanted.full, supersede=wanted.supersede)
    response.headers["Location"] = f"/desk/errands/{errand.id}"
    return errand_view(errand)


@routes.put("/sources/{name}/hold")
def hold(name: str, key: Operator, office: Here, wanted: HoldWanted | None = None) -> SourceView:
    """Hold a source: its next plans wait for a person, whatever they bring."""
    deeds.hold(office, key, name, wanted.reason if wanted else "")
    return source_view(office, name)


@routes.delete("/sources/{name}/hold")
def release(name: str, key: Operator, office: Here) -> SourceView:
    """Release a source; 409 where it is not on hold."""
    deeds.release(office, key, name)
    return source_view(office, name)


@routes.get("/errands")
def list_errands(key: Reader, office: Here) -> list[ErrandView]:
    """List the last runs that were asked for."""
    return [errand_view(it) for it in office.ledger.errands()]


@routes.get("/errands/{id}")
def show_errand(id: int, key: Reader, office: Here) -> ErrandView:
    """Tell what came of a run that was asked for: when it was taken up, and the run's id once there is one."""
    return errand_view(deeds.errand(office, id))
