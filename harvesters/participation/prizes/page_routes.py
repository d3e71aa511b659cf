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

from fastapi import APIRouter, Depends, Query, Request
from icalendar import Calendar, Event
from starlette.responses import RedirectResponse, Response

from harvesters.ledger.participation import prizes
from harvesters.ledger.participation.models import Edition, Submitter, Texts
from harvesters.participation.prizes import contest
from harvesters.participation.prizes.api import public_nominations
from harvesters.participation.submissions.model import choices
from harvesters.participation.submissions.routes.form import (
    ROOT,
    FormDep,
    PagesDep,
    Writing,
    check_trap,
    first,
    require_session,
    session_of,
)
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SubmissionContext,
    SubmissionContextDep,
    count_change,
)
from harvesters.problems import InvalidValue, NotAllowed
from harvesters.site import render_errors_as_pages
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
routes = APIRouter(
    prefix=PATH, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


def _render(
    pages: Pages,
    context: SubmissionContext,
    template: str,
    values: Mapping[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    stages = dict(choices("prize-stage", context.site.base))
    names = {"text": _text, "day": format_date, "day_names": DAYS, "prizes": PATH, "stages": stages}
    return pages.render(template, {**names, **values}, status)


def _text(texts: Texts) -> str:
    """Return a text in the language of the request, else in English, else in any."""
    return texts.get(current_locale().language) or texts.get("en") or next(iter(texts.values()), "")


def _categories(context: SubmissionContext, edition: Edition) -> list[tuple[str, str]]:
    known = dict(choices("prize-category", context.site.base))
    return [(code, known.get(code, code)) for code in edition.categories]


def _find(context: SubmissionContext, edition: str) -> Edition:
    return contest.find_edition(context.site.ledger, edition, context.site.now())


def _back(edition: Edition, path: str = "") -> Response:
    return RedirectResponse(f"{PATH}/{quote(edition.id)}{path}", HTTPStatus.SEE_OTHER)


@routes.get("")
def show_editions(context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show the editions that are announced, the newest first."""
    now = context.site.now()
    announced = [
        item for item in prizes.editions(context.site.ledger) if item.is_past(item.announced, now)
    ]
    return _render(pages, context, "editions.html", {"editions": announced})


@routes.get("/nominate")
def find_open_edition(
    context: SubmissionContextDep, initiative: Annotated[str, Query(max_length=2_000)] = ""
) -> Response:
    """Redirect to the form of the edition that takes nominations; without one, to all editions."""
    now = context.site.now()
    for edition in prizes.editions(context.site.ledger):
        if edition.takes_nominations(now) and edition.is_past(edition.announced, now):
            return _back(edition, f"/nominate?initiative={quote(initiative, safe='')}")
    return RedirectResponse(PATH, HTTPStatus.SEE_OTHER)


@routes.get("/{edition}.csv")
def download_table(edition: str, context: SubmissionContextDep) -> Response:
    """Return the public nominations of an edition as CSV."""
    selected, out = _find(context, edition), StringIO()
    writer = csv.writer(out)
    writer.writerow(("nomination", "category", "stage", "special", "title", "initiative"))
    for item in public_nominations(
        selected, prizes.nominations(context.site.ledger, selected.id), context.site.now()
    ):
        cells = (
            item["id"],
            item["category"],
            item["stage"],
            item.get("special", ""),
            _text(item["title"]),
            item["initiative"],
        )
        writer.writerow([escape_formula(cell) for cell in cells])
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8")


@routes.get("/{edition}.ics")
def download_calendar(edition: str, context: SubmissionContextDep) -> Response:
    """Return the days of an edition as iCalendar (RFC 5545)."""
    selected = _find(context, edition)
    calendar = Calendar()
    calendar.add("prodid", "-//WSIS Stocktaking//stocktake//EN")
    calendar.add("version", "2.0")
    for name, day in selected.days().items():
        event = Event()
        event.add(
            "uid", f"{Iris(context.site.base).thing('event', prizes.SOURCE, selected.id)}#{name}"
        )
        event.add("dtstamp", datetime.combine(day, time(), UTC))
        event.add("dtstart", day)
        event.add("dtend", day + timedelta(days=1))
        event.add("summary", f"{_text(selected.title)}: {gettext(DAYS[name])}")
        event.add("url", f"{context.url}{PATH}/{selected.id}")
        calendar.add_component(event)
    return Response(calendar.to_ical(), media_type="text/calendar; charset=utf-8")


@routes.get("/{edition}")
def show_edition(
    edition: str, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show the days, the criteria, and the nominations that are public, with buttons to vote in a
    session.
    """
    ledger, now, selected = context.site.ledger, context.site.now(), _find(context, edition)
    submitter = session_of(request, context)
    listed = public_nominations(selected, prizes.nominations(ledger, selected.id), now)
    by_category = [
        (code, name, [item for item in listed if item["category"] == code])
        for code, name in _categories(context, selected)
    ]
    values = {
        "edition": selected,
        "by_category": [section for section in by_category if section[2]],
        "nominating": selected.takes_nominations(now),
        "voting": selected.takes_votes(now) and selected.source is None,
        "person": submitter is not None and submitter.mail is not None,
        "votes": set(prizes.votes_of(ledger, submitter.mail, selected.id).values())
        if submitter and submitter.mail
        else set(),
        "expert": submitter is not None and contest.is_expert(ledger, selected, submitter.mail),
        "csrf": csrf_token(request.cookies.get(COOKIE, "")),
        "event": Iris("/").thing("event", prizes.SOURCE, selected.id),
    }
    return _render(pages, context, "edition.html", values)


@routes.get("/{edition}/nominate")
def ask_nomination(
    edition: str,
    request: Request,
    context: SubmissionContextDep,
    pages: PagesDep,
    initiative: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Show the form of a nomination; without a session, ask for the address."""
    submitter = session_of(request, context)
    if submitter is None:
        return _render(pages, context, "identify.html", {"error": "", "mail": ""})
    return _nomination_page(
        pages, context, request, _find(context, edition), submitter, {"initiative": initiative}
    )


def _nomination_page(
    pages: Pages,
    context: SubmissionContext,
    request: Request,
    edition: Edition,
    submitter: Submitter,
    sent: Mapping[str, str],
    error: str = "",
) -> Response:
    own = [
        item
        for item in prizes.nominations(context.site.ledger, edition.id)
        if item.submitter == submitter.id
    ]
    values = {
        "edition": edition,
        "categories": _categories(context, edition),
        "sent": {name: sent.get(name, "") for name in ("initiative", "category", "reason")},
        "own": own,
        "nominating": edition.takes_nominations(context.site.now()),
        "error": error,
        "most": contest.MAX_REASON,
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return _render(
        pages,
        context,
        "nominate.html",
        values,
        HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
    )


@routes.post("/{edition}/nominate", dependencies=[Writing])
def nominate(
    edition: str, form: FormDep, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Store a nomination, or show the form again with the reason why not."""
    submitter, selected = require_session(request, context, form), _find(context, edition)
    check_trap(form)
    count_change(context, submitter)
    sent = {name: first(form, name) for name in ("initiative", "category", "reason")}
    try:
        contest.nominate(
            context.site.ledger,
            context.site.base,
            selected,
            **sent,
            submitter=submitter.id,
            now=context.site.now(),
        )
    except (InvalidValue, NotAllowed) as error:
        return _nomination_page(pages, context, request, selected, submitter, sent, error.localized)
    return _back(selected, "/nominate")


@routes.post("/{edition}/nominate/{id}/withdraw", dependencies=[Writing])
def withdraw(
    edition: str, id: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Delete a nomination of the session's person."""
    submitter, selected = require_session(request, context, form), _find(context, edition)
    contest.withdraw(context.site.ledger, selected, id, submitter.id, context.site.now())
    return _back(selected, "/nominate")


@routes.post("/{edition}/vote/{id}", dependencies=[Writing])
def vote(
    edition: str, id: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Store the vote of the session's person."""
    submitter, selected = require_session(request, context, form), _find(context, edition)
    check_trap(form)
    count_change(context, submitter)
    contest.vote(context.site.ledger, selected, id, submitter.mail, context.site.now())
    return _back(selected)


@routes.get("/{edition}/review")
def show_reviews(
    edition: str, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show an expert the nominations, and what was scored; without a session, ask for the address."""
    submitter, selected = session_of(request, context), _find(context, edition)
    if submitter is None:
        return _render(pages, context, "identify.html", {"error": "", "mail": ""})
    contest.require_expert(context.site.ledger, selected, submitter.mail)
    own = {
        item.nomination: item
        for item in prizes.reviews(context.site.ledger, selected.id)
        if item.expert == submitter.mail
    }
    return _render(
        pages,
        context,
        "reviews.html",
        {
            "edition": selected,
            "rows": prizes.nominations(context.site.ledger, selected.id),
            "own": own,
        },
    )


@routes.get("/{edition}/review/{id}")
def show_review(
    edition: str, id: str, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show the form of a review."""
    submitter, selected = require_session(request, context), _find(context, edition)
    return _review_page(pages, context, request, selected, id, submitter)


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
    contest.require_expert(ledger, edition, submitter.mail)
    item = contest.find_nomination(ledger, edition, id)
    own = next(
        (
            each
            for each in prizes.reviews(ledger, edition.id)
            if each.nomination == id and each.expert == submitter.mail
        ),
        None,
    )
    values = {
        "edition": edition,
        "item": item,
        "own": own,
        "category": dict(_categories(context, edition)).get(item.category, item.category),
        "points": range(contest.MIN_SCORE, contest.MAX_SCORE + 1),
        "error": error,
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return _render(
        pages,
        context,
        "review.html",
        values,
        HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
    )


@routes.post("/{edition}/review/{id}", dependencies=[Writing])
def review(
    edition: str,
    id: str,
    form: FormDep,
    request: Request,
    context: SubmissionContextDep,
    pages: PagesDep,
) -> Response:
    """Store a review, or show the form again with the reason why not."""
    submitter, selected = require_session(request, context, form), _find(context, edition)
    sent = {item.code: first(form, f"score-{item.code}") for item in selected.criteria}
    scores = {
        code: int(points)
        for code, points in sent.items()
        if points.isascii() and points.isdigit() and len(points) < 3
    }
    conflict, note = bool(first(form, "conflict")), first(form, "note")
    try:
        contest.review(
            context.site.ledger,
            selected,
            id,
            submitter.mail,
            scores,
            conflict=conflict,
            note=note,
            now=context.site.now(),
        )
    except (InvalidValue, NotAllowed) as error:
        return _review_page(pages, context, request, selected, id, submitter, error.localized)
    return _back(selected, "/review")
