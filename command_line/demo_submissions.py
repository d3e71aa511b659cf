"""The submissions of the demo: one is accepted, one waits for a moderator, one must be changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import (
    SUBMITTER,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.participation.model import title_of

ADDRESS = "visitor@example.org"  # address of their submitter
_SUBMITTER = "demo-visitor"
_COMMON = {
    "type": "Initiative",
    "publisher": {
        "name": "Open Knowledge Society",
        "classification": "civil-society",
        "country": "Kenya",
    },
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "language": ["en"],
}
_CONTENTS: Mapping[str, tuple[SubmissionState, Mapping[str, Any]]] = {
    "demo-mesh": (
        SubmissionState.ACCEPTED,
        {
            "title": {"en": "Community mesh networks of the lake shore"},
            "description": {"en": "Forty villages build and run their own wireless network, and train one technician each."},
            "country": ["Kenya", "Uganda"], "actionLine": ["C2", "C4"], "goal": ["9", "4"], "start": "2025-02-01", "status": "ongoing",
            "why": {"9": {"en": "Villages without an operator get a connection."}}, "page": ["https://mesh.example/"],
        },
    ),
    "demo-library": (
        SubmissionState.SUBMITTED,
        {
            "title": {"en": "Talking books for rural libraries"},
            "description": {"en": "Volunteers record school books; libraries lend them on simple players."},
            "country": ["Ghana"], "actionLine": ["C3", "C8"], "goal": ["4", "10"], "start": "2025-09-01", "page": ["https://talking.example/"],
        },
    ),
    "demo-floods": (
        SubmissionState.CHANGES_REQUESTED,
        {
            "title": {"en": "Flood warnings by text message"},
            "description": {"en": "River gauges send a message to everybody downstream."},
            "country": ["Bangladesh"], "actionLine": ["C7-een"], "goal": ["13"], "page": ["https://floods.example/"],
        },
    ),
}  # fmt: skip
_NOTES = {
    SubmissionState.ACCEPTED: ("accepted", None),
    SubmissionState.CHANGES_REQUESTED: ("changes requested", "Since when does it run?"),
}


def seed_submissions(url: str) -> None:
    """Store the submissions in the ledger at *url*, unless they are there."""
    ledger = Ledger(url)
    try:
        if submissions.submitter_of(ledger, mail=ADDRESS) is None:
            now = datetime.now(UTC)
            who = submissions.ensure_submitter(
                ledger, Submitter(_SUBMITTER, ADDRESS, None, "en", now)
            )
            for id, (state, members) in _CONTENTS.items():
                _store(ledger, id, who.id, state, {**_COMMON, **members}, now)
    finally:
        ledger.close()


def _store(
    ledger: Ledger,
    id: str,
    submitter: str,
    state: SubmissionState,
    content: Mapping[str, Any],
    now: datetime,
) -> None:
    waits, accepted = state is SubmissionState.SUBMITTED, state is SubmissionState.ACCEPTED
    submission = Submission(
        id, submitter, state, 1, content, content if accepted else None, title_of(content), "en", now, now,
        waiting_since=now if waits else None, first_accepted=now if accepted else None,
    )  # fmt: skip
    submissions.add(
        ledger, submission, SubmissionEvent("submitted", SUBMITTER, now, content=content)
    )
    if state in _NOTES:
        what, note = _NOTES[state]
        submissions.annotate(ledger, id, SubmissionEvent(what, "Demo moderator", now, note), {})
