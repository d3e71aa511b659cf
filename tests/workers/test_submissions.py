from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.ledger import prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import (
    Criterion,
    Edition,
    Link,
    Nomination,
    Purpose,
    Review,
    Stage,
    SubmissionState,
    Submitter,
)
from harvesters.notifications.delivery import Channels, parse_mail_server
from harvesters.participation import actions, moderation
from harvesters.participation.actions import send_reminders
from harvesters.participation.model import normalize
from harvesters.participation.submitters import SubmissionContext
from harvesters.participation.tables import CSV, read_table, submit_rows
from harvesters.site import VersionConflict
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=366)
ROOT = Path(__file__).parents[2]
MODERATOR = "Grace (1)"
CONTENT = normalize(
    {"type": "Initiative", "title": {"en": "Village telecentres"}, "page": ["https://a.example/"]},
    BASE,
    None,
)


@pytest.fixture
def times() -> list[datetime]:
    """Return the times of the clock, of which the last is the current one."""
    return [NOON]


@pytest.fixture
def context(ledger: str, tmp_path: Path, times: list[datetime]) -> Iterator[SubmissionContext]:
    Ledger(ledger).close()
    definition = (
        (ROOT / "sources" / "submissions.toml")
        .read_text(encoding="utf-8")
        .replace("enabled   = false", "enabled   = true")
    )
    (tmp_path / "submissions.toml").write_text(definition, encoding="utf-8")
    channels = Channels(
        parse_mail_server("smtp://mail.example?from=a@example.org"),
        public_url="https://site.example",
    )
    context = SubmissionContext(
        tmp_path, tmp_path, ledger, BASE, lambda: times[-1], channels=channels
    )
    yield context
    context.close()


@pytest.fixture
def jane(context: SubmissionContext) -> Submitter:
    return submissions.ensure_submitter(
        context.ledger, Submitter("jane", "jane@example.org", None, "en", NOON)
    )


@pytest.mark.smoke
def test_a_submission_is_published_confirmed_and_withdrawn(
    context: SubmissionContext, jane: Submitter, times: list[datetime]
) -> None:
    ledger = context.ledger
    sent = actions.submit(context, jane, CONTENT, "en")
    accepted = moderation.accept(context, MODERATOR, sent, "Welcome")
    first = dict(submissions.published(ledger))
    times.append(NOON + YEAR)
    reminded = [send_reminders(ledger, context.channels, times[-1]) for _ in range(2)]
    actions.confirm(context, accepted, "submitter")
    second = dict(submissions.published(ledger))
    actions.withdraw(context, moderation.find(context, sent.id), "submitter")

    assert first[sent.id] == {**CONTENT, "lastReviewed": "2026-03-01"}
    assert (reminded, second[sent.id]) == ([1, 0], {**CONTENT, "lastReviewed": "2027-03-02"})
    assert dict(submissions.published(ledger)) == {sent.id: None}
    history = [event.what for event in submissions.history(ledger, sent.id, internal=True)]
    assert history == ["submitted", "accepted", "reminded", "confirmed", "withdrawn"]


def test_a_table_is_stored_and_known_when_it_is_sent_again(
    context: SubmissionContext, jane: Submitter
) -> None:
    rows = read_table(
        b"type,title@en,page\nInitiative,First,https://a.example/\nInitiative,Second,nowhere\n", CSV
    )

    outcomes = [
        [result.outcome.value for result in submit_rows(context, jane, rows, "en")]
        for _ in range(2)
    ]

    assert outcomes == [["accepted", "refused"], ["known", "refused"]]
    assert submissions.waiting(context.ledger) == (1, NOON)


def test_one_of_two_changes_at_once_is_refused(context: SubmissionContext, jane: Submitter) -> None:
    sent = actions.submit(context, jane, CONTENT, "en")

    def change(title: str) -> bool:
        try:
            actions.update(context, jane, sent, {**CONTENT, "title": {"en": title}})
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        changed = list(pool.map(change, ("One", "Other")))

    assert sorted(changed) == [False, True]
    assert moderation.find(context, sent.id).version == 2


def test_one_of_two_uses_of_a_link_counts_and_what_is_old_is_deleted(
    context: SubmissionContext, jane: Submitter
) -> None:
    ledger = context.ledger
    secret = submissions.create_link(
        ledger, Link(Purpose.CONFIRM, NOON, NOON + timedelta(hours=1), mail="jane@example.org")
    )
    with ThreadPoolExecutor(2) as pool:
        used = list(pool.map(lambda _: submissions.use_link(ledger, secret, NOON), range(2)))
    submissions.prune(ledger, NOON + timedelta(days=1), NOON)

    assert sorted(used) == [False, True]
    assert submissions.find_link(ledger, secret, Purpose.CONFIRM) is None
    assert submissions.submitter_of(ledger, id=jane.id) is None


def test_the_queue_is_in_the_order_of_waiting(
    context: SubmissionContext, jane: Submitter, times: list[datetime]
) -> None:
    sent = []
    for number in range(3):
        times.append(NOON + timedelta(hours=number))
        sent.append(
            actions.submit(context, jane, {**CONTENT, "title": {"en": f"Number {number}"}}, "en").id
        )

    rows = submissions.in_states(context.ledger, (SubmissionState.SUBMITTED,), 10)

    assert [row.id for row in rows] == sent
    assert submissions.waiting(context.ledger) == (3, NOON)


DAYS: dict[str, Any] = {
    name: date(2026, 3, day)
    for name, day in (
        ("announced", 1), ("opens", 1), ("closes", 2), ("nominees", 3), ("results", 5),
    )
}  # fmt: skip
PAGE = "https://site.example/id/initiative/a/1"


def test_a_contest_goes_from_a_nomination_to_a_winner_and_forgets_who_voted(
    context: SubmissionContext, jane: Submitter
) -> None:
    ledger = context.ledger
    votes: dict[str, Any] = {"vote_opens": date(2026, 3, 3), "vote_closes": date(2026, 3, 4)}
    criteria = [Criterion(code="impact", label={"en": "Impact"})]
    edition = Edition(
        id="2026", title={"en": "Prizes", "ar": "الجوائز"}, year=2026, **DAYS, categories=["C4"], criteria=criteria, **votes
    )  # fmt: skip
    prizes.put_edition(ledger, edition)
    content = {"title": {"en": "Telecentres"}}
    nomination = Nomination(
        "1", "2026", PAGE, content, "C4", Stage.SUBMITTED, None, "It helps.", jane.id, NOON
    )
    added = [prizes.add_nomination(ledger, nomination) for _ in range(2)]
    prizes.add_expert(ledger, "2026", "jane@example.org")
    for points in (3, 5):
        prizes.put_review(
            ledger, Review("1", "jane@example.org", False, {"impact": points}, "", NOON)
        )
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda mail: prizes.put_vote(ledger, nomination, mail, NOON),
                ("a@example.org", "b@example.org"),
            )
        )
    prizes.put_vote(ledger, nomination, "a@example.org", NOON)
    prizes.set_stage(ledger, "1", Stage.WINNER, None)
    before, after = (
        {
            key: result.get("prizeStage")
            for key, result in prizes.published(ledger, NOON + timedelta(days=day))
            if result
        }
        for day in (3, 5)
    )
    prizes.forget_persons(ledger, date(2026, 3, 6))

    assert added == [True, False]
    assert (before, after) == (
        {"2026": None, "2026-1": "nominated"},
        {"2026": None, "2026-1": "winner"},
    )
    assert prizes.votes(ledger, "2026") == {"1": 2}
    assert prizes.votes_of(ledger, "a@example.org") == {}
    assert [
        (item.expert.startswith("deleted "), item.scores) for item in prizes.reviews(ledger, "2026")
    ] == [(True, {"impact": 5})]
