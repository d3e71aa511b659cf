"""The API of contests: nominate, review and vote, with the token of a submitter."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from harvesters.ledger.participation import prizes
from harvesters.ledger.participation.models import Edition, Nomination
from harvesters.participation.prizes import contest
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
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


def find_edition(edition: str, context: SubmissionContextDep) -> Edition:
    """Return an announced edition; raise NotFound."""
    return contest.find_edition(context.site.ledger, edition, context.site.now())


EditionDep = Annotated[Edition, Depends(find_edition)]


@routes.get("", summary="List the editions of the prizes")
def list_editions(context: SubmissionContextDep) -> list[dict[str, Any]]:
    """The newest comes first; an edition is listed from the day on which it is announced."""
    announced = contest.announced_editions(context.site.ledger, context.site.now())
    return [describe_edition(item) for item in announced]


@routes.get("/{edition}", summary="Read an edition, with its nominations that are public")
def read_edition(edition: EditionDep, context: SubmissionContextDep) -> dict[str, Any]:
    """Nominations are listed from the day of the nominees, their stages from the day of the
    results.
    """
    return {**describe_edition(edition), "nominations": public_nominations(edition, context)}


@routes.post(
    "/{edition}/nominations",
    status_code=HTTPStatus.CREATED,
    summary="Nominate an initiative of the register",
    dependencies=_WRITE,
)
def nominate(
    edition: EditionDep,
    sent: NominationRequest,
    context: SubmissionContextDep,
    submitter: SubmitterDep,
) -> dict[str, Any]:
    """An initiative can be nominated in one category of an edition, and not if it has won before."""
    count_change(context, submitter)
    site = context.site
    nomination = contest.nominate(
        site.ledger, site.base, edition, **dict(sent), submitter=submitter.id, now=site.now()
    )
    return _described(nomination, nomination.stage.value)


@routes.delete(
    "/{edition}/nominations/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Withdraw a nomination of yours",
    dependencies=_WRITE,
)
def withdraw(
    edition: EditionDep, id: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> None:
    """It is possible while nominations are open."""
    contest.withdraw(context.site.ledger, edition, id, submitter.id, context.site.now())


@routes.get("/{edition}/review", summary="List the nominations that you score as an expert")
def list_reviews(
    edition: EditionDep, context: SubmissionContextDep, submitter: SubmitterDep
) -> list[dict[str, Any]]:
    """Each has your points, or your conflict of interest."""
    own = contest.reviews_of(context.site.ledger, edition, submitter.mail)
    return [
        {
            **_described(item, item.stage.value),
            "reason": item.reason,
            "review": {"conflict": mine.conflict, "scores": dict(mine.scores)}
            if (mine := own.get(item.id))
            else None,
        }
        for item in prizes.nominations(context.site.ledger, edition.id)
    ]


@routes.put(
    "/{edition}/nominations/{id}/review",
    summary="Score a nomination, or declare a conflict of interest",
    dependencies=_WRITE,
)
def review(
    edition: EditionDep,
    id: str,
    sent: ReviewRequest,
    context: SubmissionContextDep,
    submitter: SubmitterDep,
) -> dict[str, Any]:
    """Who declared a conflict of interest cannot score the nomination."""
    reviewed = contest.review(
        context.site.ledger, edition, id, submitter.mail, **dict(sent), now=context.site.now()
    )
    return {"nomination": id, "conflict": reviewed.conflict, "scores": dict(reviewed.scores)}


@routes.put(
    "/{edition}/nominations/{id}/vote", summary="Vote for a nomination", dependencies=_WRITE
)
def vote(
    edition: EditionDep, id: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, Any]:
    """A person with a confirmed address has one vote in each category; a later vote replaces an
    earlier one.
    """
    count_change(context, submitter)
    chosen = contest.vote(context.site.ledger, edition, id, submitter.mail, context.site.now())
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


def public_nominations(edition: Edition, context: SubmissionContext) -> list[dict[str, Any]]:
    """Return the nominations that are public, with the stages that are."""
    now = context.site.now()
    return [
        {
            **_described(item, stage.value),
            **(
                {"special": item.special}
                if item.special and edition.is_past(edition.results, now)
                else {}
            ),
        }
        for item in prizes.nominations(context.site.ledger, edition.id)
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
