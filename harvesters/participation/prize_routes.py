"""The API of contests below /submissions/prizes, with the token of a submitter, and their pages below
/submit/prizes: editions, nominations, votes, and the reviews of experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from harvesters.ledger import prizes
from harvesters.ledger.participation import Edition, Nomination, Submitter, Texts
from harvesters.participation import contest
from harvesters.participation.model import choices, labels_of
from harvesters.participation.submitters import (
    SubmissionContext,
    SubmissionContextDep,
    SubmitterDep,
    count_change,
    count_write,
)
from harvesters.participation.visitor import (
    ROOT,
    FormDep,
    Person,
    RendererDep,
    Sender,
    Trap,
    Visitor,
    Writing,
    first,
    page_routes,
    redirect,
)
from harvesters.site import InvalidValue, NotAllowed
from languages.translations import current_locale
from vocab.iris import Iris
from web.templating import PageRenderer

api_routes = APIRouter(prefix="/submissions/prizes", tags=["prizes"])
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
    return contest.find_edition(context.ledger, edition, context.now())


EditionDep = Annotated[Edition, Depends(find_edition)]


@api_routes.get("", summary="List the editions of the prizes")
def list_editions(context: SubmissionContextDep) -> list[dict[str, Any]]:
    """The newest comes first; an edition is listed from the day on which it is announced."""
    announced = contest.announced_editions(context.ledger, context.now())
    return [describe_edition(item) for item in announced]


@api_routes.get("/{edition}", summary="Read an edition, with its nominations that are public")
def read_edition(edition: EditionDep, context: SubmissionContextDep) -> dict[str, Any]:
    """Nominations are listed from the day of the nominees, their stages from the day of the
    results.
    """
    return {**describe_edition(edition), "nominations": public_nominations(edition, context)}


@api_routes.post(
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
    nomination = contest.nominate(
        context.ledger,
        context.base,
        edition,
        **dict(sent),
        submitter=submitter.id,
        now=context.now(),
    )
    return _described(nomination, nomination.stage.value)


@api_routes.delete(
    "/{edition}/nominations/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Withdraw a nomination of yours",
    dependencies=_WRITE,
)
def withdraw(
    edition: EditionDep, id: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> None:
    """It is possible while nominations are open."""
    contest.withdraw(context.ledger, edition, id, submitter.id, context.now())


@api_routes.get("/{edition}/review", summary="List the nominations that you score as an expert")
def list_reviews(
    edition: EditionDep, context: SubmissionContextDep, submitter: SubmitterDep
) -> list[dict[str, Any]]:
    """Each has your points, or your conflict of interest."""
    own = contest.reviews_of(context.ledger, edition, submitter.mail)
    return [
        {
            **_described(item, item.stage.value),
            "reason": item.reason,
            "review": {"conflict": mine.conflict, "scores": dict(mine.scores)}
            if (mine := own.get(item.id))
            else None,
        }
        for item in prizes.nominations(context.ledger, edition=edition.id)
    ]


@api_routes.put(
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
        context.ledger, edition, id, submitter.mail, **dict(sent), now=context.now()
    )
    return {"nomination": id, "conflict": reviewed.conflict, "scores": dict(reviewed.scores)}


@api_routes.put(
    "/{edition}/nominations/{id}/vote", summary="Vote for a nomination", dependencies=_WRITE
)
def vote(
    edition: EditionDep, id: str, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, Any]:
    """A person with a confirmed address has one vote in each category; a later vote replaces an
    earlier one.
    """
    count_change(context, submitter)
    chosen = contest.vote(context.ledger, edition, id, submitter.mail, context.now())
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
    now = context.now()
    return [
        {
            **_described(item, stage.value),
            **(
                {"special": item.special}
                if item.special and edition.is_past(edition.results, now)
                else {}
            ),
        }
        for item in prizes.nominations(context.ledger, edition=edition.id)
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


PATH = f"{ROOT}/prizes"
DAYS = {
    "opens": "Nominations open",
    "closes": "Nominations close",
    "nominees": "The nominees are published",
    "vote_opens": "The public vote opens",
    "vote_closes": "The public vote closes",
    "results": "The results are published",
}
_NOMINATION = ("initiative", "category", "reason")  # fields of the form of a nomination
Initiative = Annotated[str, Query(max_length=2_000)]
routes = page_routes("/prizes")


def text_of(texts: Texts) -> str:
    """Return a text in the language of the request, else in English, else in any."""
    return texts.get(current_locale().language) or texts.get("en") or next(iter(texts.values()), "")


def _categories(context: SubmissionContext, edition: Edition) -> list[tuple[str, str]]:
    codes = edition.categories
    return [*zip(codes, labels_of(codes, "prize-category", context.base), strict=True)]


@routes.get("")
def show_editions(context: SubmissionContextDep, show: RendererDep) -> Response:
    """Show the editions that are announced, the newest first."""
    announced = contest.announced_editions(context.ledger, context.now())
    return show("editions.html", editions=announced)


@routes.get("/nominate")
def find_open_edition(context: SubmissionContextDep, initiative: Initiative = "") -> Response:
    """Redirect to the form of the edition that takes nominations; without one, to all editions."""
    now = context.now()
    for edition in contest.announced_editions(context.ledger, now):
        if edition.takes_nominations(now):
            path = f"{PATH}/{quote(edition.id)}/nominate?initiative={quote(initiative, safe='')}"
            return RedirectResponse(path, HTTPStatus.SEE_OTHER)
    return redirect("prizes")


@routes.get("/{edition}")
def show_edition(
    edition: EditionDep,
    visitor: Visitor,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    """Show the days, the criteria, and the nominations that are public, with buttons to vote in a
    session.
    """
    ledger, now = context.ledger, context.now()
    listed = public_nominations(edition, context)
    by_category = [
        (code, name, [item for item in listed if item["category"] == code])
        for code, name in _categories(context, edition)
    ]
    mail = visitor.mail if visitor else None
    return show(
        "edition.html",
        edition=edition,
        stages=dict(choices("prize-stage", context.base)),
        by_category=[section for section in by_category if section[2]],
        nominating=edition.takes_nominations(now),
        voting=edition.takes_votes(now) and edition.source is None,
        person=mail is not None,
        votes=set(prizes.votes_of(ledger, mail, edition.id).values()) if mail else set(),
        expert=contest.is_expert(ledger, edition, mail),
        event=Iris("/").thing("event", prizes.SOURCE, edition.id),
    )


@routes.get("/{edition}/nominate")
def ask_nomination(
    edition: EditionDep,
    person: Person,
    context: SubmissionContextDep,
    show: RendererDep,
    initiative: Initiative = "",
) -> Response:
    """Show the form of a nomination."""
    return _nomination_page(show, context, edition, person, {"initiative": initiative})


def _nomination_page(
    show: PageRenderer,
    context: SubmissionContext,
    edition: Edition,
    submitter: Submitter,
    sent: Mapping[str, str],
    error: str = "",
) -> Response:
    return show(
        "nominate.html",
        edition=edition,
        categories=_categories(context, edition),
        sent={name: sent.get(name, "") for name in _NOMINATION},
        own=prizes.nominations(context.ledger, edition=edition.id, submitter=submitter.id),
        nominating=edition.takes_nominations(context.now()),
        most=contest.MAX_REASON,
        error=error,
    )


@routes.post("/{edition}/nominate", dependencies=[Writing, Trap])
def send_nomination(
    edition: EditionDep,
    form: FormDep,
    sender: Sender,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    """Store a nomination, or show the form again with the reason why not."""
    count_change(context, sender)
    sent = {name: first(form, name) for name in _NOMINATION}
    try:
        contest.nominate(
            context.ledger,
            context.base,
            edition,
            **sent,
            submitter=sender.id,
            now=context.now(),
        )
    except (InvalidValue, NotAllowed) as error:
        return _nomination_page(show, context, edition, sender, sent, error.localized)
    return redirect("prizes", edition.id, "nominate")


@routes.post("/{edition}/nominate/{id}/withdraw", dependencies=[Writing])
def take_back(
    edition: EditionDep, id: str, sender: Sender, context: SubmissionContextDep
) -> Response:
    contest.withdraw(context.ledger, edition, id, sender.id, context.now())
    return redirect("prizes", edition.id, "nominate")


@routes.post("/{edition}/vote/{id}", dependencies=[Writing, Trap])
def send_vote(
    edition: EditionDep, id: str, sender: Sender, context: SubmissionContextDep
) -> Response:
    count_change(context, sender)
    contest.vote(context.ledger, edition, id, sender.mail, context.now())
    return redirect("prizes", edition.id)


@routes.get("/{edition}/review")
def show_reviews(
    edition: EditionDep, person: Person, context: SubmissionContextDep, show: RendererDep
) -> Response:
    """Show an expert the nominations and the own scores."""
    ledger = context.ledger
    return show(
        "reviews.html",
        edition=edition,
        own=contest.reviews_of(ledger, edition, person.mail),
        rows=prizes.nominations(ledger, edition=edition.id),
    )


@routes.get("/{edition}/review/{id}")
def show_review(
    edition: EditionDep,
    id: str,
    person: Person,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    return _review_page(show, context, edition, id, person)


def _review_page(
    show: PageRenderer,
    context: SubmissionContext,
    edition: Edition,
    id: str,
    submitter: Submitter,
    error: str = "",
) -> Response:
    ledger = context.ledger
    own = contest.reviews_of(ledger, edition, submitter.mail)
    item = contest.find_nomination(ledger, edition, id)
    return show(
        "review.html",
        edition=edition,
        item=item,
        own=own.get(id),
        category=dict(_categories(context, edition)).get(item.category, item.category),
        points=range(contest.MIN_SCORE, contest.MAX_SCORE + 1),
        error=error,
    )


@routes.post("/{edition}/review/{id}", dependencies=[Writing])
def send_review(
    edition: EditionDep,
    id: str,
    form: FormDep,
    sender: Sender,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    """Store a review, or show the form again with the reason why not."""
    sent = {item.code: first(form, f"score-{item.code}") for item in edition.criteria}
    scores = {
        code: int(points)
        for code, points in sent.items()
        if points.isascii() and points.isdigit() and len(points) < 3
    }
    try:
        contest.review(
            context.ledger,
            edition,
            id,
            sender.mail,
            scores,
            conflict=bool(first(form, "conflict")),
            note=first(form, "note"),
            now=context.now(),
        )
    except (InvalidValue, NotAllowed) as error:
        return _review_page(show, context, edition, id, sender, error.localized)
    return redirect("prizes", edition.id, "review")
