"""Take part in contests by HTTP: nominate, review and vote, with the token of a submitter."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from harvesters.ledger.participation import prizes
from harvesters.ledger.participation.models import Edition, Nomination
from harvesters.participation.prizes import contest
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContextDep,
    SubmitterDep,
    count_change,
    count_write,
)

routes = APIRouter(prefix="/submissions/prizes", tags=["prizes"])
_WRITE = [Depends(count_write)]


class NominationRequest(BaseModel):
    """An initiative to nominate: the address of its page, the code of a category, and why."""

    initiative: Annotated[str, Field(max_length=2_000)]
    category: Annotated[str, Field(max_length=20)]
    reason: Annotated[str, Field(max_length=contest.MAX_REASON)]


class ReviewRequest(BaseModel):
    """Points by criterion, or a conflict of interest."""

    conflict: bool = False
    scores: Annotated[dict[str, int], Field(max_length=50)] = {}
    note: Annotated[str, Field(max_length=contest.MAX_REASON)] = ""


@routes.get("", summary="List the editions of the prizes")
def list_editions(context: SubmissionContextDep) -> list[dict[str, Any]]:
    """The newest comes first; an edition is listed from the day on which it is announced."""
    now = context.site.now()
    return [
        describe_edition(item)
        for item in prizes.editions(context.site.ledger)
        if item.is_past(item.announced, now)
    ]


@routes.get("/{edition}", summary="Read an edition, with its nominations that are public")
def read_edition(edition: str, context: SubmissionContextDep) -> dict[str, Any]:
    """Nominations are listed from the day of the nominees, their stages from the day of the
    results.
    """
    ledger, now = context.site.ledger, context.site.now()
    selected = contest.find_edition(ledger, edition, now)
    return {
        **describe_edition(selected),
        "nominations": public_nominations(selected, prizes.nominations(ledger, selected.id), now),
    }


@routes.post(
    "/{edition}/nominations",
    status_code=HTTPStatus.CREATED,
    summary="Nominate an initiative of the register",
    dependencies=_WRITE,
)
def nominate(
    edition: str, sent: NominationRequest, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, Any]:
    """An initiative can be nominated in one category of an edition, and not if it has won before."""
    ledger, now = context.site.ledger, context.site.now()
    selected = contest.find_edition(ledger, edition, now)
    count_change(context, submitter)
    nomination = contest.nominate(
        ledger,
        context.site.base,
        selected,
        sent.initiative,
        sent.category,
        sent.reason,
        submitter.id,
        now,
    )
    return _described(nomination, nomination.stage.value)


@routes.delete(
    "/{edition}/nominations/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Withdraw a nomination of yours",
    dependencies=_WRITE,
)
def withdraw(edition: str, id: str, context: SubmissionContextDep, submitter: SubmitterDep) -> None:
    """It is possible while nominations are open."""
    ledger, now = context.site.ledger, context.site.now()
    contest.withdraw(ledger, contest.find_edition(ledger, edition, now), id, submitter.id, now)


@routes.get("/{edition}/review", summary="List the nominations that you score as an expert")
def list_reviews(
    edition: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> list[dict[str, Any]]:
    """Each has your points, or your conflict of interest."""
    ledger = context.site.ledger
    selected = contest.find_edition(ledger, edition, context.site.now())
    contest.require_expert(ledger, selected, submitter.mail)
    own = {
        item.nomination: item
        for item in prizes.reviews(ledger, selected.id)
        if item.expert == submitter.mail
    }
    return [
        {
            **_described(item, item.stage.value),
            "reason": item.reason,
            "review": {"conflict": mine.conflict, "scores": dict(mine.scores)}
            if (mine := own.get(item.id))
            else None,
        }
        for item in prizes.nominations(ledger, selected.id)
    ]


@routes.put(
    "/{edition}/nominations/{id}/review",
    summary="Score a nomination, or declare a conflict of interest",
    dependencies=_WRITE,
)
def review(
    edition: str,
    id: str,
    sent: ReviewRequest,
    context: SubmissionContextDep,
    submitter: SubmitterDep,
) -> dict[str, Any]:
    """Who declared a conflict of interest cannot score the nomination."""
    ledger, now = context.site.ledger, context.site.now()
    selected = contest.find_edition(ledger, edition, now)
    reviewed = contest.review(
        ledger,
        selected,
        id,
        submitter.mail,
        sent.scores,
        conflict=sent.conflict,
        note=sent.note,
        now=now,
    )
    return {"nomination": id, "conflict": reviewed.conflict, "scores": dict(reviewed.scores)}


@routes.put(
    "/{edition}/nominations/{id}/vote", summary="Vote for a nomination", dependencies=_WRITE
)
def vote(
    edition: str, id: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, Any]:
    """A person with a confirmed address has one vote in each category; a later vote replaces an
    earlier one.
    """
    ledger, now = context.site.ledger, context.site.now()
    selected = contest.find_edition(ledger, edition, now)
    count_change(context, submitter)
    chosen = contest.vote(ledger, selected, id, submitter.mail, now)
    return {"nomination": chosen.id, "category": chosen.category}


def describe_edition(edition: Edition) -> dict[str, Any]:
    """Return an edition for JSON."""
    return {
        "id": edition.id,
        "title": dict(edition.title),
        "year": edition.year,
        **{name: f"{day}" for name, day in edition.days().items()},
        "categories": list(edition.categories),
        "criteria": [
            {"code": item.code, "weight": item.weight, "label": dict(item.label)}
            for item in edition.criteria
        ],
        "special": {code: dict(label) for code, label in edition.special.items()},
        **({"source": edition.source} if edition.source else {}),
    }


def public_nominations(
    edition: Edition, nominations: list[Nomination], now: datetime
) -> list[dict[str, Any]]:
    """Return the nominations that may be shown, with the stages that may be shown."""
    return [
        {
            **_described(item, stage.value),
            **(
                {"special": item.special}
                if item.special and edition.is_past(edition.results, now)
                else {}
            ),
        }
        for item in nominations
        if (stage := item.public_stage(edition, now))
    ]


def _described(item: Nomination, stage: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "initiative": item.thing,
        "title": item.content["title"],
        "category": item.category,
        "stage": stage,
    }
