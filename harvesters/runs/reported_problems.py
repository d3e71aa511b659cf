"""File a reader's problem with a record or a page, send it to the registry, and close it when a
later harvest changes the statements that it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote, urlencode

from harvesters.errors import HarvestError
from harvesters.ledger import outbox
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.models import SERVED, Message, Run, decompress
from harvesters.ledger.participation import UNDECIDED, ProblemState, ReportedProblem
from harvesters.runs.context import HarvestContext
from harvesters.source import Notify
from languages.translations import gettext, use_language
from vocab.iris import Iris
from vocab.terms import DCT, FOAF, SCHEMA

TOPIC = "problem "  # begins the topic of a problem's messages to the registry; the number follows
MAX_UNDECIDED = 1000  # problems of all sources that may wait for an answer
MAX_OF_RECORD = 10  # problems of one record that may wait
# The form of the portal has the same labels.
_LABELS = {
    "title": "Title",
    "description": "Description",
    "dates": "Dates",
    "place": "Country or place",
    "classification": "Action line, goal or target",
    "organization": "Organization",
    "page": "Web page",
    "duplicate": "The same as another record",
    "personal": "Personal data that should not be here",
    "other": "Something else",
}
CATEGORIES = tuple(_LABELS)
_MAX_LINK = 1_500  # characters of a problem's text that are put into a link


class ProblemsFullError(HarvestError):
    """No more problems are accepted until some have been answered."""


def file_problem(context: HarvestContext, filed: ReportedProblem, notify: Notify) -> int | None:
    """Store a problem with a record and queue it for its registry; return its number, None if there
    is no such record.

    A problem with a source or with a page of the portal is answered by a person. Raises
    ProblemsFullError if too many wait.
    """
    ledger, about = context.ledger, (filed.source, filed.key)
    if filed.is_about_record:
        stored = ledger.stored_records(filed.source, [filed.key]).get(filed.key)
        if stored is None or stored.state not in SERVED:
            return None
    waiting = ledger.undecided_problems()
    if (
        len(waiting) >= MAX_UNDECIDED
        or sum((item.source, item.key) == about for item in waiting) >= MAX_OF_RECORD
    ):
        raise ProblemsFullError(
            "too many reported problems wait for an answer; try again in some days"
        )
    filed = replace(filed, digest=_statements_digest(context, filed))
    filed = replace(filed, id=ledger.add(filed))
    outbox.queue_messages(ledger, _registry_messages(filed, context, notify), filed.created)
    return filed.id


def _statements_digest(context: HarvestContext, problem: ReportedProblem) -> str:
    """Return the SHA-256 of the statements that a problem is about, "" if it is about no published
    record.

    A category without properties of its own is about all of the record, apart from our provenance.
    """
    ledger, source, key = context.ledger, problem.source, problem.key
    stored = ledger.stored_records(source, [key]).get(key)
    if stored is None or stored.state not in SERVED:
        return ""
    properties = _properties(problem.category, context.iris)
    if not properties:
        return stored.content
    lines = decompress(ledger.current_descriptions(source, [key]).get(key)).split("\n")
    about = sorted(
        line for line in lines if line.split(" ", 2)[1:2] and line.split(" ", 2)[1] in properties
    )
    return sha256("\n".join(about).encode()).hexdigest()


def _properties(category: str, iris: Iris) -> frozenset[str]:
    linked = (
        "actionLine",
        "goal",
        "target",
        "crosswalkedActionLine",
        "crosswalkedGoal",
        "crosswalkedTarget",
    )
    names = {
        "title": (f"{DCT}title",),
        "description": (f"{DCT}description",),
        "dates": (f"{SCHEMA}startDate", f"{SCHEMA}endDate", f"{DCT}issued"),
        "place": (f"{DCT}spatial", f"{SCHEMA}location"),
        "classification": tuple(f"{iris.ns}{name}" for name in linked),
        "organization": (f"{DCT}publisher", f"{iris.ns}partner", f"{SCHEMA}funder"),
        "page": (f"{FOAF}page",),
    }
    return frozenset(f"<{name}>" for name in names.get(category, ()))


def reported_problem(ledger: Database, id: int) -> ReportedProblem | None:
    return ledger.first(ReportedProblem, t.problem.c.id == id)


def mark_problem_sent(ledger: Database, topic: str, now: datetime) -> None:
    """Mark the open problem of a delivered message as sent; other topics are ignored."""
    number = topic.removeprefix(TOPIC)
    if topic.startswith(TOPIC) and number.isdecimal():
        c = t.problem.c
        is_open = (c.id == int(number), c.state == ProblemState.OPEN)
        ledger.update(t.problem, *is_open, state=ProblemState.SENT, changed=now)


def close_problem(
    context: HarvestContext,
    problem: ReportedProblem,
    now: datetime,
    answer: str | None = None,
    run: str | None = None,
) -> bool:
    """Close an undecided problem, with the *answer* of a person or as fixed by a *run*; its reader
    gets a message, and the address is deleted. Return whether it was undecided.
    """
    ledger, c = context.ledger, t.problem.c
    state = ProblemState.FIXED if answer is None else ProblemState.ANSWERED
    values = {"state": state, "changed": now, "answer": answer, "run": run, "address": None}
    if not ledger.update(t.problem, c.id == problem.id, c.state.in_(UNDECIDED), **values):
        return False
    if problem.address:
        message = _reader_message(problem, problem.address, answer, context)
        outbox.queue_messages(ledger, [message], now)
    return True


def close_fixed_problems(
    problems: Iterable[ReportedProblem], run: Run, context: HarvestContext
) -> None:
    """Close those *problems* whose statements are no longer those that were reported."""
    now = context.now()
    for problem in problems:
        if problem.is_about_record and _statements_digest(context, problem) != problem.digest:
            close_problem(context, problem, now, run=run.id)


def problem_target(problem: ReportedProblem, iris: Iris) -> str:
    """Return the IRI of the record, the source or the page that a problem is about."""
    if not problem.source:
        return iris.base + problem.key.removeprefix("/")
    return iris.record(problem.source, problem.key) if problem.key else iris.source(problem.source)


def _reader_message(
    problem: ReportedProblem, address: str, answer: str | None, context: HarvestContext
) -> Message:
    """Return the mail with the result of a problem, in the reader's language."""
    with use_language(problem.language):
        subject = f"{context.name}: {gettext('The problem that you reported')}"
        about = f"{gettext('What is it about?')} {gettext(_LABELS[problem.category])}"
        lines = [
            *(
                [gettext("The record was changed.")]
                if answer is None
                else [gettext("Answer"), answer]
            ),
            "",
            about,
            problem_target(problem, context.iris),
            "",
            *(f"> {line}" for line in problem.text.splitlines()),
            "",
            f"{gettext('State')}: {context.iris.base}problem/{problem.id}",
        ]
    return Message("mail", address, f"answer {problem.id}", subject, "\n".join(lines) + "\n")


def _registry_messages(
    problem: ReportedProblem, context: HarvestContext, notify: Notify
) -> list[Message]:
    """Return the messages to the registry, in its language. The reader's address is not in them."""
    with use_language(notify.language):
        issue = _registry_issue(problem, context)
        subject = f"{context.name}: {issue['title']}"
        lines = [issue["body"]]
        if notify.tracker:
            lines += ["", f"{gettext('To follow it up')}: {issue_link(notify.tracker, issue)}"]
    data = {
        "type": "problem.reported",
        "timestamp": problem.created.isoformat(),
        "data": {
            "number": problem.id, "record": problem_target(problem, context.iris), "key": problem.key,
            "category": problem.category, "text": problem.text, "issue": issue,
        },
    }  # fmt: skip
    return outbox.messages_to(notify, f"{TOPIC}{problem.id}", subject, lines, data)


def _registry_issue(problem: ReportedProblem, context: HarvestContext) -> dict[str, str]:
    """Return ``title`` and ``body`` of an issue about a problem, in the language in use."""
    values = {
        "number": problem.id,
        "key": problem.key or f"source/{problem.source}",
        "about": gettext(_LABELS[problem.category]),
    }
    if problem.is_about_record:
        title = gettext("Problem %(number)s with the record %(key)s: %(about)s") % values
        start = gettext("A reader of %(name)s reports a problem with this record:")
        end = [gettext("The problem is closed when a later harvest changes the record.")]
    else:
        title = gettext("Problem %(number)s with the page %(key)s: %(about)s") % values
        start, end = gettext("A reader of %(name)s reports a problem with this page:"), []
    target = problem_target(problem, context.iris)
    lines = [start % {"name": context.name}, target, problem.text, *end]
    return {"title": title, "body": "\n\n".join(lines)}


def issue_link(tracker: str, issue: Mapping[str, str]) -> str:
    """Return the address of the filled-in form for a new issue of GitHub, Gitea or GitLab; of
    another tracker, its own address.

    >>> issue_link("https://github.com/a/b/issues", {"title": "T", "body": "B C"})
    'https://github.com/a/b/issues/new?title=T&body=B%20C'
    >>> issue_link("https://gitlab.example/a/b/-/issues/", {"title": "T", "body": "B"})
    'https://gitlab.example/a/b/-/issues/new?issue%5Btitle%5D=T&issue%5Bdescription%5D=B'
    >>> issue_link("https://registry.example/feedback", {"title": "T", "body": "B"})
    'https://registry.example/feedback'
    """
    stem = tracker.rstrip("/").removesuffix("/new")
    if not stem.endswith("/issues"):
        return tracker
    names = (
        ("issue[title]", "issue[description]") if stem.endswith("/-/issues") else ("title", "body")
    )
    return f"{stem}/new?{urlencode(dict(zip(names, (issue['title'], issue['body'][:_MAX_LINK]), strict=True)), quote_via=quote)}"
