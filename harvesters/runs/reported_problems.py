"""File a reader's problem with a record, send it to the registry, and close it when a later harvest changes what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from harvesters.errors import HarvestError
from harvesters.ledger.compression import decompress
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SERVED, Run
from harvesters.ledger.outbox import Message
from harvesters.ledger.reported_problems import TOPIC, ProblemState, ReportedProblem
from harvesters.runs.context import HarvestContext
from harvesters.source import Notify
from languages.request_locale import use_language
from languages.translations import gettext
from vocab.iris import Iris
from vocab.terms import DCT, FOAF, SCHEMA

NAME = "Stocktake"  # in mails that a harvest sends
MAX_UNDECIDED = 1000  # problems of all sources that wait: then no more are taken
MAX_OF_RECORD = 10  # of one record
CATEGORIES = ("title", "description", "dates", "place", "classification", "organization", "page", "duplicate", "personal", "other")


@dataclass(frozen=True, slots=True)
class FiledProblem:
    """What a reader sends: *category* is one of CATEGORIES, *address* a mail address or "", *language* that of the page."""

    category: str
    text: str
    address: str = ""
    language: str = "en"


class ProblemsFullError(HarvestError):
    """As many problems wait as are taken."""


def file_problem(
    context: HarvestContext, source: str, key: str, filed: FiledProblem, notify: Notify, installation: str
) -> int | None:
    """Store a problem with a record and queue it for its registry; return its number, None if there is no such record.

    *installation* is our name in mails. Raises ProblemsFullError if too many wait.
    """
    ledger, iris = context.ledger, context.iris
    stored = ledger.stored_records(source, [key]).get(key)
    if stored is None or stored.state not in SERVED:
        return None
    waiting = ledger.undecided_problems()
    if len(waiting) >= MAX_UNDECIDED or sum((item.source, item.key) == (source, key) for item in waiting) >= MAX_OF_RECORD:
        raise ProblemsFullError("too many reported problems wait for an answer; try again in some days")
    now = context.now()
    digest = statements_digest(ledger, iris, source, key, filed.category)
    number = ledger.add_problem(source, key, filed.category, filed.text, filed.address or None, filed.language, digest, now)
    problem = ledger.reported_problem(number)
    if problem is not None:
        ledger.queue_messages(_registry_messages(problem, iris, installation, notify), now)
    return number


def statements_digest(ledger: Ledger, iris: Iris, source: str, key: str, category: str) -> str:
    """Return the SHA-256 of the statements that a category is about, "" if the record is not published.

    A category without properties of its own is about all of the record, apart from our provenance.
    """
    stored = ledger.stored_records(source, [key]).get(key)
    if stored is None or stored.state not in SERVED:
        return ""
    properties = _properties(category, iris)
    if not properties:
        return stored.content
    lines = decompress(ledger.current_descriptions(source, [key]).get(key)).split("\n")
    about = sorted(line for line in lines if line.split(" ", 2)[1:2] and line.split(" ", 2)[1] in properties)
    return sha256("\n".join(about).encode()).hexdigest()


def _properties(category: str, iris: Iris) -> frozenset[str]:
    linked = ("actionLine", "goal", "target", "crosswalkedActionLine", "crosswalkedGoal", "crosswalkedTarget")
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
    """Close the problems of the run's source whose statements are no longer those that were reported; their readers get a message."""
    ledger, now = context.ledger, context.now()
    for problem in ledger.undecided_problems(run.source):
        if statements_digest(ledger, context.iris, problem.source, problem.key, problem.category) == problem.digest:
            continue
        message = reader_message(problem, ProblemState.FIXED, "", NAME, context.iris)
        if ledger.decide_problem(problem.id, ProblemState.FIXED, now, run=run.id) and message is not None:
            ledger.queue_messages([message], now)


def reader_message(problem: ReportedProblem, state: ProblemState, answer: str, installation: str, iris: Iris) -> Message | None:
    """Return the mail that says what became of a problem, in the reader's language; None without an address."""
    if not problem.address:
        return None
    with use_language(problem.language):
        subject = f"{installation}: {gettext('The problem that you reported')}"
        outcome = gettext("The record was changed.") if state is ProblemState.FIXED else gettext("Answer")
        lines = [outcome, *([answer] if answer else []), "", iris.record(problem.source, problem.key)]
    return Message("mail", problem.address, f"answer {problem.id}", subject, "\n".join(lines) + "\n")


def _registry_messages(problem: ReportedProblem, iris: Iris, installation: str, notify: Notify) -> Iterator[Message]:
    """Yield the messages to the registry. The reader's address is not in them."""
    record = iris.record(problem.source, problem.key)
    subject = f"{installation}: problem {problem.id} with a record: {problem.category}"
    lines = [
        f"A reader reports a problem with the record {problem.key} ({problem.category}):", "", problem.text, "", record,
        *([f"To follow it up: {notify.tracker}"] if notify.tracker else []),
        "The problem is closed when a later harvest changes the record.",
    ]  # fmt: skip
    data = {
        "type": "problem.reported",
        "timestamp": problem.created.isoformat(),
        "data": {"number": problem.id, "record": record, "key": problem.key, "category": problem.category, "text": problem.text},
    }
    for channel, addresses in (("mail", notify.mail), ("webhook", notify.webhook)):
        yield from (Message(channel, address, f"{TOPIC}{problem.id}", subject, "\n".join(lines) + "\n", data) for address in addresses)
