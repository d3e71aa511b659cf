"""Decide about submissions, and record each decision with its author and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harvesters.errors import require
from harvesters.ledger import submissions
from harvesters.ledger.models import AuditEntry
from harvesters.ledger.participation import Submission, SubmissionEvent, SubmissionState
from harvesters.notifications import coar
from harvesters.notifications.coar import NotificationKind
from harvesters.participation import actions
from harvesters.participation.actions import offer_transfer
from harvesters.participation.model import title_of
from harvesters.participation.submitters import MAILS, SOURCE, send_answer
from harvesters.site import InvalidValue, NotAllowed, NotFound, Site, check_note

WAITING = (SubmissionState.SUBMITTED, SubmissionState.QUARANTINED)
# By decision, the states in which it is possible.
_STATES = {
    **dict.fromkeys(("accepted", "accepted first", "changes requested"), WAITING),
    "rejected": (*WAITING, SubmissionState.CHANGES_REQUESTED),
    "marked as spam": (*WAITING, SubmissionState.CHANGES_REQUESTED, SubmissionState.REJECTED),
}
_EXPLAINED = ("changes requested", "rejected")  # decisions whose note the submitter reads
_ANSWERS = {"accepted": NotificationKind.ACCEPT, "rejected": NotificationKind.REJECT}
_DECIDED = {"waiting_since": None, "endorsed_by": None}  # values of a submission after a decision
# The sentence of each event in the history, with %(who)s.
HISTORY = {
    "submitted": "%(who)s sent it.",
    "changed": "%(who)s changed it.",
    "withdrawn": "%(who)s withdrew it.",
    "accepted": "%(who)s accepted it.",
    "accepted first": "%(who)s accepted it first; another person must accept it too.",
    "changes requested": "%(who)s asked for changes.",
    "rejected": "%(who)s rejected it.",
    "marked as spam": "%(who)s marked it as spam.",
    "commented": "%(who)s commented.",
    "assigned": "%(who)s was assigned to it.",
    "unassigned": "%(who)s was unassigned from it.",
    "confirmed": "%(who)s confirmed that it is still true.",
    "reminded": "%(who)s was asked whether it is still true.",
    "offered": "%(who)s offered to hand it over.",
    "taken over": "%(who)s took it over.",
}


def find(context: Site, id: str) -> Submission:
    """Return a submission that was sent; raise NotFound, even for a draft: only its author sees it."""
    item = submissions.find(context.ledger, id)
    return require(
        item if item and item.state is not SubmissionState.DRAFT else None,
        NotFound("There is no submission with this identifier."),
    )


def accept(context: Site, who: str, submission: Submission, note: str) -> Submission:
    """Accept a submission and queue a run that publishes it. If two people must accept, the first
    one is only recorded.

    Raises NotAllowed if it does not wait or the same person accepted it first, VersionConflict.
    """
    if context.source(SOURCE).second_approver and submission.endorsed_by is None:
        return _decide(context, who, submission, "accepted first", note, {"endorsed_by": who})
    if submission.endorsed_by == who:
        raise NotAllowed("You accepted it first. Another person must accept it too.")
    now = context.now()
    values = {
        "state": SubmissionState.ACCEPTED,
        "published": submission.content,
        "confirmed": submission.waiting_since or now,
        "first_accepted": submission.first_accepted or now,
        **_DECIDED,
    }
    accepted = _decide(context, who, submission, "accepted", note, values)
    if not submission.post:
        actions.request_harvest(context, who)
    return accepted


def request_changes(context: Site, who: str, submission: Submission, note: str) -> Submission:
    """Ask the submitter for changes. Raises InvalidValue without a note, NotAllowed,
    VersionConflict.
    """
    values = {**_DECIDED, "state": SubmissionState.CHANGES_REQUESTED}
    return _decide(context, who, submission, "changes requested", note, values)


def reject(context: Site, who: str, submission: Submission, note: str) -> Submission:
    """Reject a submission, or the change of a published one, which stays as it is. Raises
    InvalidValue without a reason.
    """
    values: dict[str, Any] = {**_DECIDED, "state": SubmissionState.REJECTED}
    if (published := submission.published) is not None:
        stays = {"content": published, "title": title_of(published)}
        values |= {**stays, "state": SubmissionState.ACCEPTED}
    return _decide(context, who, submission, "rejected", note, values)


def mark_as_spam(context: Site, who: str, submission: Submission, note: str) -> Submission:
    """Mark a submission as spam: it cannot be changed any more, and its submitter gets no message.
    Raises NotAllowed.
    """
    require(submission.published is None, NotAllowed("It is published. Withdraw it instead."))
    values = {"state": SubmissionState.SPAM, "waiting_since": None}
    return _decide(context, who, submission, "marked as spam", note, values)


def withdraw(context: Site, who: str, submission: Submission, note: str) -> Submission:
    """Withdraw a submission for its submitter; if it was published, the next run leaves a
    tombstone.
    """
    _require_reason(note)
    withdrawn = actions.withdraw(context, submission, who, check_note(note) or None)
    _audit(context, who, "withdrawn", submission, note)
    return withdrawn


def transfer(context: Site, who: str, submission: Submission, mail: str) -> None:
    """Send a link with which the owner of an address takes the submission over, such as a submitter
    with a new address.

    Raises InvalidValue, RateLimited, NotAllowed, Closed. The address is not in the audit log.
    """
    offer_transfer(context, submission, mail, who)
    _audit(context, who, "handed over", submission, "")


def comment(context: Site, who: str, submission: Submission, note: str) -> None:
    """Add a comment that only moderators read."""
    require(note.strip(), InvalidValue("Write a comment."))
    _annotate(context, who, submission, "commented", check_note(note) or None, {})


def assign(context: Site, who: str, submission: Submission, _: str) -> None:
    """Assign a submission to the holder of the key."""
    _annotate(context, who, submission, "assigned", None, {"assigned": who})


def unassign(context: Site, who: str, submission: Submission, _: str) -> None:
    """Assign a submission to nobody."""
    _annotate(context, who, submission, "unassigned", None, {"assigned": None})


def _require_reason(note: str) -> None:
    require(note.strip(), InvalidValue("Write the reason: the submitter reads it."))


def _decide(
    context: Site,
    who: str,
    submission: Submission,
    what: str,
    note: str,
    values: Mapping[str, Any],
) -> Submission:
    """Store a decision, and send it to the submitter and to the installation that offered it."""
    if submission.state not in _STATES[what]:
        raise NotAllowed(
            "The state of the submission is “%(state)s”; this is not possible any more.",
            state=submission.state.value,
        )
    if what in _EXPLAINED:
        _require_reason(note)
    now, is_internal, id = context.now(), what == "accepted first", submission.id
    event = SubmissionEvent(
        what, who, now, check_note(note) or None, is_internal, submission.version + 1
    )
    changed = actions.apply_change(context, submission, {**values, "updated": now}, event)
    _audit(context, who, what, submission, note)
    if what in MAILS:
        send_answer(context, submission, what, note)
    if kind := _ANSWERS.get(what):
        reason = note if what in _EXPLAINED else ""
        coar.answer(context.ledger, context.channels.public_url, id, kind, now, reason)
    return changed


def _annotate(
    context: Site,
    who: str,
    submission: Submission,
    what: str,
    note: str | None,
    values: Mapping[str, Any],
) -> None:
    event = SubmissionEvent(
        what, who, context.now(), note, internal=True, version=submission.version
    )
    submissions.annotate(context.ledger, submission.id, event, values)


def _audit(context: Site, who: str, what: str, submission: Submission, note: str) -> None:
    text = ": ".join(filter(None, (submission.id, note.strip())))
    context.ledger.add(AuditEntry(context.now(), who, f"submission {what}", SOURCE, note=text))
