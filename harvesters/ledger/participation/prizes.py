"""Store the contests for prizes: editions, nominations, experts with their reviews, and votes.
Personal data are in these tables alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from harvesters.errors import LedgerError
from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.database import Database
from harvesters.ledger.models import RecordState
from harvesters.ledger.row_mapping import naive, utc

SOURCE = "prizes"  # the source that publishes editions and results
Texts = Mapping[str, str]  # by language
_ID_BYTES = 6
_DELETED = "deleted "  # and a random word, in place of a person
_CANONICAL_HOSTS = {"googlemail.com": "gmail.com"}


class Stage(StrEnum):
    """How far a nomination came; the codes are those of the scheme of prize stages."""

    SUBMITTED = "submitted"
    NOMINATED = "nominated"
    CHAMPION = "champion"
    WINNER = "winner"


STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Criterion:
    """What experts score, and how much it counts."""

    code: str
    weight: float
    label: Texts


@dataclass(frozen=True, slots=True)
class Edition:
    """A contest. Days begin at 00:00 UTC. *special* has the names of special prizes by their codes.

    Nothing of it is shown before *announced*, no nomination before *nominees*, no champion or
    winner before *results*.
    """

    id: str
    title: Texts
    year: int
    announced: date
    opens: date
    closes: date
    nominees: date
    results: date
    categories: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    special: Mapping[str, Texts]
    vote_opens: date | None = None
    vote_closes: date | None = None
    champions: int = 5  # in a category
    winners: int = 2
    source: str | None = None  # of an edition whose nominations a registry publishes
    page: str | None = None

    def is_past(self, day: date, now: datetime) -> bool:
        """Return whether a day has begun."""
        return now >= datetime.combine(day, time(), UTC)

    def takes_nominations(self, now: datetime) -> bool:
        """Return whether initiatives can be nominated now."""
        return (
            self.source is None
            and self.is_past(self.opens, now)
            and not self.is_past(self.closes, now)
        )

    def takes_votes(self, now: datetime) -> bool:
        """Return whether the public can vote now."""
        if self.vote_opens is None or self.vote_closes is None:
            return False
        return self.is_past(self.vote_opens, now) and not self.is_past(self.vote_closes, now)

    def takes_reviews(self, now: datetime) -> bool:
        """Return whether experts can score now: from the end of nominations to the results."""
        return (
            self.source is None
            and self.is_past(self.closes, now)
            and not self.is_past(self.results, now)
        )

    def days(self) -> dict[str, date]:
        """Return the days of the contest by name, in their order."""
        names = ("opens", "closes", "nominees", "vote_opens", "vote_closes", "results")
        return {name: day for name in names if (day := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Nomination:
    """An initiative in a contest: *thing* is its IRI, *content* its title and web page, *reason*
    why it was nominated.
    """

    id: str
    edition: str
    thing: str
    content: Mapping[str, Any]
    category: str
    stage: Stage
    special: str | None
    reason: str
    submitter: str | None
    created: datetime

    def public_stage(self, edition: Edition, now: datetime) -> Stage | None:
        """Return the stage that may be shown now, None if the nomination may not be shown."""
        if self.stage is Stage.SUBMITTED or not edition.is_past(edition.nominees, now):
            return None
        return self.stage if edition.is_past(edition.results, now) else Stage.NOMINATED


@dataclass(frozen=True, slots=True)
class Review:
    """What an expert says of a nomination: scores by criterion, or a conflict of interest."""

    nomination: str
    expert: str
    conflict: bool
    scores: Mapping[str, int]
    note: str
    time: datetime


def new_id() -> str:
    """Return the id of a new nomination."""
    return secrets.token_hex(_ID_BYTES)


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
    """Store an edition, or replace it."""
    content = {
        name: value.isoformat() if isinstance(value, date) else value
        for name in Edition.__slots__
        if (value := getattr(edition, name))
    }
    content["criteria"] = [[item.code, item.weight, dict(item.label)] for item in edition.criteria]
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.prize_edition).where(t.prize_edition.c.id == edition.id))
        connection.execute(
            sa.insert(t.prize_edition).values(
                id=edition.id, content=json.dumps(content, ensure_ascii=False)
            )
        )


def editions(ledger: Database) -> list[Edition]:
    """Return the editions, the newest first."""
    with ledger.transaction() as connection:
        rows = connection.execute(sa.select(t.prize_edition)).all()
    return sorted(
        (_edition(json.loads(row.content)) for row in rows),
        key=lambda item: (item.opens, item.id),
        reverse=True,
    )


def find_edition(ledger: Database, id: str) -> Edition | None:
    """Return the edition with this id, or None."""
    return next((item for item in editions(ledger) if item.id == id), None)


def add_nomination(ledger: Database, nomination: Nomination) -> bool:
    """Store a nomination; return False if the initiative is in the edition already."""
    c = t.prize_nomination.c
    values = {name: getattr(nomination, name) for name in Nomination.__slots__}
    values |= {
        "content": json.dumps(nomination.content, ensure_ascii=False),
        "stage": nomination.stage.value,
    }
    known = sa.select(c.id).where(c.edition == nomination.edition, c.thing == nomination.thing)
    try:
        with ledger.transaction() as connection:
            if connection.execute(known).first() is not None:
                return False
            connection.execute(
                sa.insert(t.prize_nomination).values(
                    {**values, "created": naive(nomination.created)}
                )
            )
    except LedgerError:  # another request stored it at the same time
        with ledger.transaction() as connection:
            if connection.execute(known).first() is None:
                raise
        return False
    return True


def delete_nomination(ledger: Database, id: str) -> None:
    """Delete a nomination with its reviews and votes."""
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.prize_vote).where(t.prize_vote.c.nomination == id))
        connection.execute(sa.delete(t.prize_review).where(t.prize_review.c.nomination == id))
        connection.execute(sa.delete(t.prize_nomination).where(t.prize_nomination.c.id == id))


def set_stage(ledger: Database, id: str, stage: Stage, special: str | None) -> None:
    """Store the stage that a nomination reached, and the code of its special prize."""
    c = t.prize_nomination.c
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.prize_nomination)
            .where(c.id == id)
            .values(stage=stage.value, special=special)
        )


def nominations(ledger: Database, edition: str | None = None, **columns: str) -> list[Nomination]:
    """Return the nominations of an edition, or of all, in the order in which they came; *columns*
    must have these values.
    """
    c = t.prize_nomination.c
    query = sa.select(t.prize_nomination).order_by(c.created, c.id)
    query = query.where(c.edition == edition) if edition is not None else query
    with ledger.transaction() as connection:
        rows = (
            connection.execute(query.where(*(c[name] == value for name, value in columns.items())))
            .mappings()
            .all()
        )
    return [
        Nomination(
            **{
                **row,
                "content": json.loads(row["content"]),
                "stage": Stage(row["stage"]),
                "created": utc(row["created"]),
            }
        )
        for row in rows
    ]


def count_waiting(ledger: Database, now: datetime) -> int:
    """Return how many nominations wait for a decision, in the editions whose nominees are not
    published yet.
    """
    return sum(
        item.stage is Stage.SUBMITTED
        for edition in editions(ledger)
        if edition.source is None and not edition.is_past(edition.nominees, now)
        for item in nominations(ledger, edition.id)
    )


def find_nomination(ledger: Database, edition: str, id: str) -> Nomination | None:
    """Return a nomination of an edition, or None."""
    return next(iter(nominations(ledger, edition, id=id)), None)


def add_expert(ledger: Database, edition: str, mail: str) -> None:
    """Let a person review the nominations of an edition."""
    remove_expert(ledger, edition, mail)
    with ledger.transaction() as connection:
        connection.execute(sa.insert(t.prize_expert).values(edition=edition, mail=mail))


def remove_expert(ledger: Database, edition: str, mail: str) -> None:
    """Let a person not review the nominations of an edition any more; the reviews stay."""
    c = t.prize_expert.c
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.prize_expert).where(c.edition == edition, c.mail == mail))


def experts(ledger: Database, edition: str) -> list[str]:
    """Return the mail addresses of an edition's experts."""
    c = t.prize_expert.c
    with ledger.transaction() as connection:
        return list(
            connection.scalars(sa.select(c.mail).where(c.edition == edition).order_by(c.mail))
        )


def put_review(ledger: Database, review: Review) -> None:
    """Store a review, or replace that of the same expert."""
    c = t.prize_review.c
    values = {name: getattr(review, name) for name in Review.__slots__}
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.prize_review).where(
                c.nomination == review.nomination, c.expert == review.expert
            )
        )
        connection.execute(
            sa.insert(t.prize_review).values(
                {**values, "scores": json.dumps(dict(review.scores)), "time": naive(review.time)}
            )
        )


def reviews(ledger: Database, edition: str) -> list[Review]:
    """Return the reviews of an edition's nominations."""
    r, n = t.prize_review, t.prize_nomination.c
    query = (
        sa.select(r)
        .join(t.prize_nomination, n.id == r.c.nomination)
        .where(n.edition == edition)
        .order_by(r.c.nomination, r.c.expert)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        Review(**{**row, "scores": json.loads(row["scores"]), "time": utc(row["time"])})
        for row in rows
    ]


def put_vote(ledger: Database, nomination: Nomination, mail: str, now: datetime) -> None:
    """Store the vote of an address in the nomination's category, instead of an earlier one."""
    c, who = t.prize_vote.c, voter(mail)
    key = {"edition": nomination.edition, "category": nomination.category, "voter": who}
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.prize_vote).where(*(c[name] == value for name, value in key.items()))
        )
        connection.execute(
            sa.insert(t.prize_vote).values(**key, nomination=nomination.id, time=naive(now))
        )


def votes(ledger: Database, edition: str) -> dict[str, int]:
    """Return the number of votes for each nomination that has any."""
    c = t.prize_vote.c
    query = (
        sa.select(c.nomination, sa.func.count()).where(c.edition == edition).group_by(c.nomination)
    )
    with ledger.transaction() as connection:
        return {row[0]: row[1] for row in connection.execute(query).all()}


def votes_of(ledger: Database, mail: str, edition: str | None = None) -> dict[str, str]:
    """Return the nomination for which an address voted, by edition and category, as in "2027 C4"."""
    c = t.prize_vote.c
    query = sa.select(c.edition, c.category, c.nomination).where(c.voter == voter(mail))
    query = query.where(c.edition == edition) if edition else query
    with ledger.transaction() as connection:
        return {
            f"{row.edition} {row.category}": row.nomination
            for row in connection.execute(query.order_by(c.edition, c.category)).all()
        }


def delete_person(ledger: Database, submitter: str, mail: str | None) -> None:
    """Delete a person's votes and address; nominations and reviews stay, without their author."""
    with ledger.transaction() as connection:
        c = t.prize_nomination.c
        connection.execute(
            sa.update(t.prize_nomination).where(c.submitter == submitter).values(submitter=None)
        )
        if mail:
            connection.execute(sa.delete(t.prize_vote).where(t.prize_vote.c.voter == voter(mail)))
            connection.execute(sa.delete(t.prize_expert).where(t.prize_expert.c.mail == mail))
            connection.execute(
                sa.update(t.prize_review)
                .where(t.prize_review.c.expert == mail)
                .values(expert=_anonymous())
            )


def forget_persons(ledger: Database, ended_before: date) -> None:
    """Make the votes and reviews of editions anonymous whose results were published before a day,
    and delete their experts' addresses.

    The numbers of votes and the scores stay; nominations lose their author.
    """
    r, v, n = t.prize_review.c, t.prize_vote.c, t.prize_nomination.c
    for edition in editions(ledger):
        if edition.results >= ended_before:
            continue
        own = sa.select(n.id).where(n.edition == edition.id)
        with ledger.transaction() as connection:
            connection.execute(
                sa.delete(t.prize_expert).where(t.prize_expert.c.edition == edition.id)
            )
            connection.execute(
                sa.update(t.prize_nomination).where(n.edition == edition.id).values(submitter=None)
            )
            named = sa.select(r.nomination, r.expert).where(
                r.nomination.in_(own), r.expert.not_like(f"{_DELETED}%")
            )
            for nomination, expert in connection.execute(named).all():
                update = sa.update(t.prize_review).where(
                    r.nomination == nomination, r.expert == expert
                )
                connection.execute(update.values(expert=_anonymous()))
            known = sa.select(v.category, v.voter).where(
                v.edition == edition.id, v.voter.not_like(f"{_DELETED}%")
            )
            for category, who in connection.execute(known).all():
                update = sa.update(t.prize_vote).where(
                    v.edition == edition.id, v.category == category, v.voter == who
                )
                connection.execute(update.values(voter=_anonymous()))


def _anonymous() -> str:
    return f"{_DELETED}{secrets.token_hex(_ID_BYTES)}"


def of_person(ledger: Database, submitter: str, mail: str | None) -> dict[str, Any]:
    """Return what is stored about a person, for JSON."""
    c = t.prize_review.c
    with ledger.transaction() as connection:
        rows = (
            connection.execute(sa.select(t.prize_review).where(c.expert == (mail or "")))
            .mappings()
            .all()
        )
    reviewed = [
        {**row, "scores": json.loads(row["scores"]), "time": utc(row["time"]).isoformat()}
        for row in rows
    ]
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
        "reviews": reviewed,
    }


def published_statements(ledger: Database, source: str, key: str) -> list[str] | None:
    """Return the statements of a published record, None if there is none."""
    r, d = t.record.c, t.description.c
    query = sa.select(d.statements).join(t.record, sa.and_(d.run == r.run, d.seq == r.seq))
    with ledger.transaction() as connection:
        text = connection.execute(
            query.where(r.source == source, r.key == key, r.state == RecordState.PUBLISHED.value)
        ).scalar()
    return None if text is None else decompress(text).split("\n")


def published(ledger: Database, now: datetime) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield what the source of prizes has at a time, by key: editions as events and nominations as
    initiatives with their prizes.

    None stands for a nomination that may not be shown any more.
    """
    for edition in editions(ledger):
        if edition.is_past(edition.announced, now):
            yield edition.id, _event(edition)
        for item in (
            nominations(ledger, edition.id) if edition.is_past(edition.nominees, now) else ()
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


def _edition(content: Mapping[str, Any]) -> Edition:
    days = ("announced", "opens", "closes", "nominees", "results", "vote_opens", "vote_closes")
    read = {
        name: date.fromisoformat(value) if name in days else value
        for name, value in content.items()
    }
    read["criteria"] = tuple(Criterion(*item) for item in content["criteria"])
    return Edition(
        **{
            **read,
            "categories": tuple(content["categories"]),
            "special": content.get("special", {}),
        }
    )
