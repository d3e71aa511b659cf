"""File a reader's problem with a record or a page, send it to the registry, and close it when a
later harvest changes the statements that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, urlencode

from harvesters.errors import HarvestError
from harvesters.ledger import outbox, readers
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SERVED, Message, Run, decompress
from harvesters.ledger.participation import ProblemState, ReportedProblem
from harvesters.ledger.readers import TOPIC
from harvesters.runs.context import HarvestContext
from harvesters.source import Notify
from languages.translations import gettext, use_language
from vocab.iris import Iris
from vocab.terms import DCT, FOAF, SCHEMA

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


@dataclass(frozen=True, slots=True)
class FiledProblem:
    """The form that a reader sends: *category* is one of CATEGORIES, *address* a mail address or
    "", *language* that of the page.
    """

    category: str
    text: str
    address: str = ""
    language: str = "en"


class ProblemsFullError(HarvestError):
    """No more problems are accepted until some have been answered."""


def file_problem(
    context: HarvestContext,
    source: str,
    key: str,
    filed: FiledProblem,
    notify: Notify,
    installation: str,
) -> int | None:
    """Store a problem with a record and queue it for its registry; return its number, None if there
    is no such record.

    Without *key* the problem is about the source, without *source* about the page of the portal at
    the path *key*: a person answers these. *installation* is our name in mails. Raises
    ProblemsFullError if too many wait.
    """
    ledger, iris, is_record = context.ledger, context.iris, bool(source and key)
    if is_record:
        stored = ledger.stored_records(source, [key]).get(key)
        if stored is None or stored.state not in SERVED:
            return None
    waiting = readers.undecided_problems(ledger)
    if (
        len(waiting) >= MAX_UNDECIDED
        or sum((item.source, item.key) == (source, key) for item in waiting) >= MAX_OF_RECORD
    ):
        raise ProblemsFullError(
            "too many reported problems wait for an answer; try again in some days"
        )
    now = context.now()
    digest = statements_digest(ledger, iris, source, key, filed.category) if is_record else ""
    number = readers.add_problem(
        ledger,
        source,
        key,
        filed.category,
        filed.text,
        filed.address or None,
        filed.language,
        digest,
        now,
    )
    problem = readers.reported_problem(ledger, number)
    if problem is not None:
        outbox.queue_messages(ledger, _registry_messages(problem, iris, installation, notify), now)
    return number


def statements_digest(ledger: Ledger, iris: Iris, source: str, key: str, category: str) -> str:
    """Return the SHA-256 of the statements that a category is about, "" if the record is not
    published.

    A category without properties of its own is about all of the record, apart from our provenance.
    """
    stored = ledger.stored_records(source, [key]).get(key)
    if stored is None or stored.state not in SERVED:
        return ""
    properties = _properties(category, iris)
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


def close_fixed_problems(run: Run, context: HarvestContext) -> None:
    """Close the problems of the run's source whose statements are no longer those that were
    reported; their readers get a message.
    """
    ledger, now = context.ledger, context.now()
    for problem in filter(
        lambda item: item.is_about_record, readers.undecided_problems(ledger, run.source)
    ):
        if (
            statements_digest(ledger, context.iris, problem.source, problem.key, problem.category)
            == problem.digest
        ):
            continue
        message = reader_message(problem, ProblemState.FIXED, "", context.name, context.iris)
        if (
            readers.decide_problem(ledger, problem.id, ProblemState.FIXED, now, run=run.id)
            and message is not None
        ):
            outbox.queue_messages(ledger, [message], now)


def problem_target(problem: ReportedProblem, iris: Iris) -> str:
    """Return the IRI of the record, the source or the page that a problem is about."""
    if not problem.source:
        return iris.base + problem.key.removeprefix("/")
    return iris.record(problem.source, problem.key) if problem.key else iris.source(problem.source)


def reader_message(
    problem: ReportedProblem, state: ProblemState, answer: str, installation: str, iris: Iris
) -> Message | None:
    """Return the mail with the result of a problem, in the reader's language; None without an
    address.
    """
    if not problem.address:
        return None
    with use_language(problem.language):
        subject = f"{installation}: {gettext('The problem that you reported')}"
        outcome = (
            gettext("The record was changed.") if state is ProblemState.FIXED else gettext("Answer")
        )
        about = f"{gettext('What is it about?')} {gettext(_LABELS[problem.category])}"
        lines = [
            outcome,
            *([answer] if answer else []),
            "",
            about,
            problem_target(problem, iris),
            "",
        ]
        lines += [
            *(f"> {line}" for line in problem.text.splitlines()),
            "",
            f"{gettext('State')}: {iris.base}problem/{problem.id}",
        ]
    return Message(
        "mail", problem.address, f"answer {problem.id}", subject, "\n".join(lines) + "\n"
    )


def _registry_messages(
    problem: ReportedProblem, iris: Iris, installation: str, notify: Notify
) -> list[Message]:
    """Return the messages to the registry, in its language. The reader's address is not in them."""
    record = problem_target(problem, iris)
    issue = registry_issue(problem, iris, installation, notify)
    with use_language(notify.language):
        subject = f"{installation}: {issue['title']}"
        lines = [issue["body"]]
        if notify.tracker:
            lines += ["", f"{gettext('To follow it up')}: {issue_link(notify.tracker, issue)}"]
    data = {
        "type": "problem.reported",
        "timestamp": problem.created.isoformat(),
        "data": {
            "number": problem.id, "record": record, "key": problem.key, "category": problem.category, "text": problem.text, "issue": issue,
        },
    }  # fmt: skip
    return outbox.messages_to(notify, f"{TOPIC}{problem.id}", subject, lines, data)


def registry_issue(
    problem: ReportedProblem, iris: Iris, installation: str, notify: Notify
) -> dict[str, str]:
    """Return ``title`` and ``body`` of an issue about a problem, in the registry's language."""
    with use_language(notify.language):
        about = gettext(_LABELS[problem.category])
        values = {
            "number": problem.id,
            "key": problem.key or f"source/{problem.source}",
            "about": about,
        }
        if problem.is_about_record:
            title = gettext("Problem %(number)s with the record %(key)s: %(about)s") % values
            start = gettext("A reader of %(name)s reports a problem with this record:")
            end = [gettext("The problem is closed when a later harvest changes the record.")]
        else:
            title = gettext("Problem %(number)s with the page %(key)s: %(about)s") % values
            start, end = gettext("A reader of %(name)s reports a problem with this page:"), []
        lines = [start % {"name": installation}, problem_target(problem, iris), problem.text, *end]
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
