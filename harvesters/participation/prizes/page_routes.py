"""The pages below /submit/prizes: editions with their days and nominees, nominations, votes, and
the reviews of experts.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from http import HTTPStatus
from io import StringIO
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from icalendar import Calendar, Event
from starlette.responses import RedirectResponse, Response

from harvesters.ledger.participation import prizes
from harvesters.ledger.participation.models import Edition, Submitter, Texts
from harvesters.participation.prizes import contest
from harvesters.participation.prizes.api import EditionDep, public_nominations
from harvesters.participation.submissions.model import choices, labels_of
from harvesters.participation.submissions.routes.visitor import (
    ROOT,
    FormDep,
    PagesDep,
    Person,
    Sender,
    Trap,
    Visitor,
    Writing,
    ask_address,
    first,
    page_routes,
    redirect,
)
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SubmissionContext,
    SubmissionContextDep,
    count_change,
)
from harvesters.problems import InvalidValue, NotAllowed
from languages.request_locale import current_locale
from languages.translations import format_date, gettext
from vocab.iris import Iris
from vocab.normalization import escape_formula
from web.sessions import csrf_token
from web.templating import Pages

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


def _render(
    pages: Pages,
    context: SubmissionContext,
    template: str,
    values: Mapping[str, Any],
    error: str = "",
) -> Response:
    """Render a page; with *error*, the form that was refused."""
    stages = dict(choices("prize-stage", context.site.base))
    names = {"text": text_of, "day": format_date, "day_names": DAYS, "prizes": PATH}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return pages.render(template, {**names, "stages": stages, "error": error, **values}, status)


def text_of(texts: Texts) -> str:
    """Return a text in the language of the request, else in English, else in any."""
    return texts.get(current_locale().language) or texts.get("en") or next(iter(texts.values()), "")


def _categories(context: SubmissionContext, edition: Edition) -> list[tuple[str, str]]:
    codes = edition.categories
    return [*zip(codes, labels_of(codes, "prize-category", context.site.base), strict=True)]


@routes.get("")
def show_editions(context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show the editions that are announced, the newest first."""
    announced = contest.announced_editions(context.site.ledger, context.site.now())
    return _render(pages, context, "editions.html", {"editions": announced})


@routes.get("/nominate")
def find_open_edition(context: SubmissionContextDep, initiative: Initiative = "") -> Response:
    """Redirect to the form of the edition that takes nominations; without one, to all editions."""
    now = context.site.now()
    for edition in contest.announced_editions(context.site.ledger, now):
        if edition.takes_nominations(now):
            path = f"{PATH}/{quote(edition.id)}/nominate?initiative={quote(initiative, safe='')}"
            return RedirectResponse(path, HTTPStatus.SEE_OTHER)
    return redirect("prizes")


@routes.get("/{edition}.csv")
def download_table(edition: EditionDep, context: SubmissionContextDep) -> Response:
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(("nomination", "category", "stage", "special", "title", "initiative"))
    for item in public_nominations(edition, context):
        cells = (
            *(item.get(name, "") for name in ("id", "category", "stage", "special")),
            text_of(item["title"]),
            item["initiative"],
        )
        writer.writerow(map(escape_formula, cells))
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8")


@routes.get("/{edition}.ics")
def download_calendar(edition: EditionDep, context: SubmissionContextDep) -> Response:
    """Return the days of an edition as iCalendar (RFC 5545)."""
    calendar = Calendar()
    calendar.add("prodid", "-//WSIS Stocktaking//stocktake//EN")
    calendar.add("version", "2.0")
    iri = Iris(context.site.base).thing("event", prizes.SOURCE, edition.id)
    for name, day in edition.days().items():
        event = Event()
        properties = {
            "uid": f"{iri}#{name}",
            "dtstamp": datetime.combine(day, time(), UTC),
            "dtstart": day,
            "dtend": day + timedelta(days=1),
            "summary": f"{text_of(edition.title)}: {gettext(DAYS[name])}",
            "url": f"{context.url}{PATH}/{edition.id}",
        }
        for key, value in properties.items():
            event.add(key, value)
        calendar.add_component(event)
    return Response(calendar.to_ical(), media_type="text/calendar; charset=utf-8")


@routes.get("/{edition}")
def show_edition(
    edition: EditionDep,
    request: Request,
    visitor: Visitor,
    context: SubmissionContextDep,
    pages: PagesDep,
) -> Response:
    """Show the days, the criteria, and the nominations that are public, with buttons to vote in a
    session.
    """
    ledger, now = context.site.ledger, context.site.now()
    listed = public_nominations(edition, context)
    by_category = [
        (code, name, [item for item in listed if item["category"] == code])
        for code, name in _categories(context, edition)
    ]
    mail = visitor.mail if visitor else None
    values = {
        "edition": edition,
        "by_category": [section for section in by_category if section[2]],
        "nominating": edition.takes_nominations(now),
        "voting": edition.takes_votes(now) and edition.source is None,
        "person": mail is not None,
        "votes": set(prizes.votes_of(ledger, mail, edition.id).values()) if mail else set(),
        "expert": contest.is_expert(ledger, edition, mail),
        "csrf": csrf_token(request.cookies.get(COOKIE, "")),
        "event": Iris("/").thing("event", prizes.SOURCE, edition.id),
    }
    return _render(pages, context, "edition.html", values)


@routes.get("/{edition}/nominate")
def ask_nomination(
    edition: EditionDep,
    request: Request,
    visitor: Visitor,
    context: SubmissionContextDep,
    pages: PagesDep,
    initiative: Initiative = "",
) -> Response:
    """Show the form of a nomination; without a session, ask for the address."""
    if visitor is None:
        return ask_address(pages)
    return _nomination_page(pages, context, request, edition, visitor, {"initiative": initiative})


def _nomination_page(
    pages: Pages,
    context: SubmissionContext,
    request: Request,
    edition: Edition,
    submitter: Submitter,
    sent: Mapping[str, str],
    error: str = "",
) -> Response:
    values = {
        "edition": edition,
        "categories": _categories(context, edition),
        "sent": {name: sent.get(name, "") for name in _NOMINATION},
        "own": prizes.nominations(context.site.ledger, edition.id, submitter=submitter.id),
        "nominating": edition.takes_nominations(context.site.now()),
        "most": contest.MAX_REASON,
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return _render(pages, context, "nominate.html", values, error)


@routes.post("/{edition}/nominate", dependencies=[Writing, Trap])
def nominate(
    edition: EditionDep,
    form: FormDep,
    request: Request,
    sender: Sender,
    context: SubmissionContextDep,
    pages: PagesDep,
) -> Response:
    """Store a nomination, or show the form again with the reason why not."""
    count_change(context, sender)
    sent, site = {name: first(form, name) for name in _NOMINATION}, context.site
    try:
        contest.nominate(
            site.ledger, site.base, edition, **sent, submitter=sender.id, now=site.now()
        )
    except (InvalidValue, NotAllowed) as error:
        return _nomination_page(pages, context, request, edition, sender, sent, error.localized)
    return redirect("prizes", edition.id, "nominate")


@routes.post("/{edition}/nominate/{id}/withdraw", dependencies=[Writing])
def withdraw(
    edition: EditionDep, id: str, sender: Sender, context: SubmissionContextDep
) -> Response:
    contest.withdraw(context.site.ledger, edition, id, sender.id, context.site.now())
    return redirect("prizes", edition.id, "nominate")


@routes.post("/{edition}/vote/{id}", dependencies=[Writing, Trap])
def vote(edition: EditionDep, id: str, sender: Sender, context: SubmissionContextDep) -> Response:
    count_change(context, sender)
    contest.vote(context.site.ledger, edition, id, sender.mail, context.site.now())
    return redirect("prizes", edition.id)


@routes.get("/{edition}/review")
def show_reviews(
    edition: EditionDep, visitor: Visitor, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show an expert the nominations and the own scores; without a session, ask for the address."""
    if visitor is None:
        return ask_address(pages)
    ledger = context.site.ledger
    values = {
        "edition": edition,
        "own": contest.reviews_of(ledger, edition, visitor.mail),
        "rows": prizes.nominations(ledger, edition.id),
    }
    return _render(pages, context, "reviews.html", values)


@routes.get("/{edition}/review/{id}")
def show_review(
    edition: EditionDep,
    id: str,
    request: Request,
    person: Person,
    context: SubmissionContextDep,
    pages: PagesDep,
) -> Response:
    return _review_page(pages, context, request, edition, id, person)


def _review_page(
    pages: Pages,
    context: SubmissionContext,
    request: Request,
    edition: Edition,
    id: str,
    submitter: Submitter,
    error: str = "",
) -> Response:
    ledger = context.site.ledger
    own = contest.reviews_of(ledger, edition, submitter.mail)
    item = contest.find_nomination(ledger, edition, id)
    values = {
        "edition": edition,
        "item": item,
        "own": own.get(id),
        "category": dict(_categories(context, edition)).get(item.category, item.category),
        "points": range(contest.MIN_SCORE, contest.MAX_SCORE + 1),
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return _render(pages, context, "review.html", values, error)


@routes.post("/{edition}/review/{id}", dependencies=[Writing])
def review(
    edition: EditionDep,
    id: str,
    form: FormDep,
    request: Request,
    sender: Sender,
    context: SubmissionContextDep,
    pages: PagesDep,
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
            context.site.ledger,
            edition,
            id,
            sender.mail,
            scores,
            conflict=bool(first(form, "conflict")),
            note=first(form, "note"),
            now=context.site.now(),
        )
    except (InvalidValue, NotAllowed) as error:
        return _review_page(pages, context, request, edition, id, sender, error.localized)
    return redirect("prizes", edition.id, "review")
