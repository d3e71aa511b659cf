"""Store the contests for prizes: editions, nominations, experts with their reviews, and votes.
Personal data are in these tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insertable
from harvesters.ledger.models import RecordState, decompress
from harvesters.ledger.participation import Edition, Nomination, Review, Stage
from harvesters.ledger.submissions import new_id

SOURCE = "prizes"  # the source that publishes editions and results
_DELETED = "deleted "  # It stands with a random word in place of a person.
_CANONICAL_HOSTS = {"googlemail.com": "gmail.com"}
_nomination, _review, _vote, _expert = (
    t.prize_nomination.c,
    t.prize_review.c,
    t.prize_vote.c,
    t.prize_expert.c,
)


def voter(mail: str) -> str:
    """Return the digest under which a vote is stored: the same for an address with another tag, as
    in name+tag@example.org.

    >>> voter("jane+a@example.org") == voter("Jane@example.org")
    True
    """
    name, _, host = mail.strip().lower().rpartition("@")
    host = _CANONICAL_HOSTS.get(host, host)
    name = name.partition("+")[0]
    return sha256(
        f"{name.replace('.', '') if host == 'gmail.com' else name}@{host}".encode()
    ).hexdigest()


def put_edition(ledger: Database, edition: Edition) -> None:
    content = edition.model_dump(mode="json", exclude_none=True)
    ledger.upsert(t.prize_edition, {"id": edition.id, "content": content})


def editions(ledger: Database) -> list[Edition]:
    stored = map(Edition.model_validate, ledger.scalars(sa.select(t.prize_edition.c.content)))
    return sorted(stored, key=lambda item: (item.opens, item.id), reverse=True)


def find_edition(ledger: Database, id: str) -> Edition | None:
    return next((item for item in editions(ledger) if item.id == id), None)


def add_nomination(ledger: Database, nomination: Nomination) -> bool:
    """Store a nomination; return False if the initiative is in the edition already."""
    return ledger.add_once(nomination)


def delete_nomination(ledger: Database, id: str) -> None:
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.prize_vote).where(_vote.nomination == id))
        connection.execute(sa.delete(t.prize_review).where(_review.nomination == id))
        connection.execute(sa.delete(t.prize_nomination).where(_nomination.id == id))


def set_stage(ledger: Database, id: str, stage: Stage, special: str | None) -> None:
    """Store the stage that a nomination reached, and the code of its special prize."""
    ledger.update(t.prize_nomination, _nomination.id == id, stage=stage, special=special)


def nominations(ledger: Database, **columns: str) -> list[Nomination]:
    """Return the nominations whose columns have these values, the oldest first."""
    where = [_nomination[name] == value for name, value in columns.items()]
    return ledger.select(Nomination, *where, order=[_nomination.created, _nomination.id])


def count_waiting(ledger: Database, now: datetime) -> int:
    """Return how many nominations wait for a decision, in the editions whose nominees are not
    published yet.
    """
    return sum(
        item.stage is Stage.SUBMITTED
        for edition in editions(ledger)
        if edition.source is None and not edition.is_past(edition.nominees, now)
        for item in nominations(ledger, edition=edition.id)
    )


def add_expert(ledger: Database, edition: str, mail: str) -> None:
    remove_expert(ledger, edition, mail)
    ledger.execute(sa.insert(t.prize_expert).values(edition=edition, mail=mail))


def remove_expert(ledger: Database, edition: str, mail: str) -> None:
    """End a person's right to review the nominations of an edition; earlier reviews stay."""
    ledger.delete(t.prize_expert, _expert.edition == edition, _expert.mail == mail)


def experts(ledger: Database, edition: str) -> list[str]:
    query = sa.select(_expert.mail).where(_expert.edition == edition)
    return ledger.scalars(query.order_by(_expert.mail))


def put_review(ledger: Database, review: Review) -> None:
    """Store a review, or replace that of the same expert."""
    ledger.upsert(t.prize_review, insertable(review))


def reviews(ledger: Database, edition: str) -> list[Review]:
    of_edition = sa.select(_nomination.id).where(_nomination.edition == edition)
    order = [_review.nomination, _review.expert]
    return ledger.select(Review, _review.nomination.in_(of_edition), order=order)


def put_vote(ledger: Database, nomination: Nomination, mail: str, now: datetime) -> None:
    """Store the vote of an address in the nomination's category, instead of an earlier one."""
    about = {"edition": nomination.edition, "category": nomination.category}
    vote = {"voter": voter(mail), "nomination": nomination.id, "time": now}
    ledger.upsert(t.prize_vote, about | vote)


def votes(ledger: Database, edition: str) -> dict[str, int]:
    query = sa.select(_vote.nomination, sa.func.count()).where(_vote.edition == edition)
    return dict(ledger.rows(query.group_by(_vote.nomination)))


def votes_of(ledger: Database, mail: str, edition: str | None = None) -> dict[str, str]:
    """Return the nomination for which an address voted, by edition and category, as in "2027 C4"."""
    v = _vote
    query = sa.select(v.edition, v.category, v.nomination).where(v.voter == voter(mail))
    query = query.where(v.edition == edition) if edition else query
    rows = ledger.rows(query.order_by(v.edition, v.category))
    return {f"{row.edition} {row.category}": row.nomination for row in rows}


def delete_person(ledger: Database, submitter: str, mail: str | None) -> None:
    """Delete a person's votes and address; nominations and reviews stay, without their author."""
    own = _nomination.submitter == submitter
    with ledger.transaction() as connection:
        connection.execute(sa.update(t.prize_nomination).where(own).values(submitter=None))
        if mail:
            connection.execute(sa.delete(t.prize_vote).where(_vote.voter == voter(mail)))
            connection.execute(sa.delete(t.prize_expert).where(_expert.mail == mail))
            reviewed = sa.update(t.prize_review).where(_review.expert == mail)
            connection.execute(reviewed.values(expert=_anonymous()))


def forget_persons(ledger: Database, ended_before: date) -> None:
    """Make the votes and reviews anonymous in editions whose results were published before a day,
    and delete the addresses of their experts.

    The numbers of votes and the scores stay; nominations lose their author.
    """
    for edition in editions(ledger):
        if edition.results >= ended_before:
            continue
        own = sa.select(_nomination.id).where(_nomination.edition == edition.id)
        of_edition = _nomination.edition == edition.id
        with ledger.transaction() as connection:
            connection.execute(sa.delete(t.prize_expert).where(_expert.edition == edition.id))
            connection.execute(
                sa.update(t.prize_nomination).where(of_edition).values(submitter=None)
            )
            _anonymize(connection, _review.expert, _review.nomination.in_(own))
            _anonymize(connection, _vote.voter, _vote.edition == edition.id)


def _anonymize(
    connection: sa.Connection, person: sa.Column[str], condition: sa.ColumnElement[bool]
) -> None:
    """Replace each person in a column by a random word, another in each row."""
    table, keys = person.table, list(person.table.primary_key)
    named = sa.select(*keys).where(condition, person.not_like(f"{_DELETED}%"))
    for row in connection.execute(named).all():
        same = [column == value for column, value in zip(keys, row, strict=True)]
        connection.execute(sa.update(table).where(*same).values({person.name: _anonymous()}))


def _anonymous() -> str:
    return f"{_DELETED}{new_id()}"


def of_person(ledger: Database, submitter: str, mail: str | None) -> dict[str, Any]:
    """Return what is stored about a person, for JSON."""
    return {
        "nominations": [
            {
                "edition": item.edition,
                "initiative": item.thing,
                "category": item.category,
                "reason": item.reason,
            }
            for item in nominations(ledger, submitter=submitter)
        ],
        "votes": votes_of(ledger, mail) if mail else {},
        "reviews": [
            {**asdict(item), "time": item.time.isoformat()}
            for item in ledger.select(Review, _review.expert == (mail or ""))
        ],
    }


def published_statements(ledger: Database, source: str, key: str) -> list[str] | None:
    """Return the statements of a published record, None if there is none."""
    r, d = t.record.c, t.description.c
    query = sa.select(d.statements).join(t.record, sa.and_(d.run == r.run, d.seq == r.seq))
    stored = ledger.scalars(
        query.where(r.source == source, r.key == key, r.state == RecordState.PUBLISHED)
    )
    return decompress(stored[0]).split("\n") if stored else None


def published(ledger: Database, now: datetime) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield the records of the source of prizes at a time, by key: editions as events, nominations
    as initiatives with their prizes.

    None stands for a nomination that may not be shown any more.
    """
    for edition in editions(ledger):
        if edition.is_past(edition.announced, now):
            yield edition.id, _event(edition)
        for item in (
            nominations(ledger, edition=edition.id)
            if edition.is_past(edition.nominees, now)
            else ()
        ):
            stage = item.public_stage(edition, now)
            yield (
                f"{edition.id}-{item.id}",
                _award(edition, item, stage, final=edition.is_past(edition.results, now))
                if stage
                else None,
            )


def _event(edition: Edition) -> dict[str, Any]:
    page = {"page": [edition.page]} if edition.page else {}
    return {
        "type": "Event",
        "title": dict(edition.title),
        "start": f"{edition.opens}",
        "end": f"{edition.results}",
        **page,
    }


def _award(edition: Edition, item: Nomination, stage: Stage, *, final: bool) -> dict[str, Any]:
    final = final and (stage is not Stage.NOMINATED or item.special is not None)
    award = {
        "type": "Initiative", "nominated": [item.thing], "prizeCategory": item.category, "prizeStage": stage.value,
        "prizeYear": f"{edition.year}", "prizeEdition": edition.id, "prizeDate": f"{edition.results if final else edition.nominees}",
    }  # fmt: skip
    name = edition.special.get(item.special or "", {}) if final else {}
    return {**item.content, **award, **({"prizeName": dict(name)} if name else {})}
