"""Define what the ledger stores of contributions of the public: submissions, prizes, problems, subscriptions and
notifications.

The table of a class here is made of its fields (``tables``).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import Enum, StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from languages.translations import LANGUAGES

Content = Mapping[str, Any]  # the members of our own JSON that a submission may have
SUBMITTER = "submitter"  # in the history, in place of the person
Texts = Mapping[str, str]  # by language


class SubmissionState(StrEnum):
    """The state of a submission: what it waits for, or how it ended."""

    DRAFT = "draft"  # its author has not sent it
    SUBMITTED = "submitted"  # a moderator has to decide
    QUARANTINED = "quarantined"  # scored as unwanted; a moderator may decide
    CHANGES_REQUESTED = "changes-requested"  # its author has to change it
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SPAM = "spam"
    WITHDRAWN = "withdrawn"


class Purpose(StrEnum):
    """What a link is for."""

    DRAFT = "draft"  # opens a draft, as often as wanted
    CONFIRM = "confirm"  # confirms a mail address, once
    SESSION = "session"  # opens what is a submitter's, as often as wanted
    SIGN_IN = "sign-in"  # waits for the answer of a provider, once
    STILL_TRUE = "still-true"  # confirms that what is published is still true, once
    TRANSFER = "transfer"  # gives a submission to the person who uses it, once


@dataclass(frozen=True, slots=True)
class Submitter:
    """A person with a confirmed address, or an organization with an API key; the other is None."""

    id: str
    mail: str | None
    organization: str | None
    language: str
    created: datetime

    @property
    def name(self) -> str:
        """Return the name in the history: that of an organization; persons are not named."""
        return self.organization or SUBMITTER


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission. *content* is its newest version, *published* the accepted one; times are UTC.

    A comment is a submission with the *post* that it is about, ``post/{source}/{key}`` as in the
    address of its page. It is never harvested.

    *waiting_since* is when it was sent to the moderators, None if none of them has to act.
    *confirmed* is when its submitter last sent what is published, or said that it is still true,
    *reminded* when the submitter was last asked to.
    """

    id: str
    submitter: str | None
    state: SubmissionState
    version: int
    content: Content
    published: Content | None
    title: str
    language: str
    created: datetime
    updated: datetime
    waiting_since: datetime | None = None
    first_accepted: datetime | None = None
    withdrawn: datetime | None = None
    assigned: str | None = None
    endorsed_by: str | None = None
    confirmed: datetime | None = None
    reminded: datetime | None = None
    post: str | None = None


@dataclass(frozen=True, slots=True)
class SubmissionEvent:
    """A line of the history; *internal* ones are for moderators, *content* is that of *version* if
    it changed.
    """

    what: str
    who: str
    time: datetime
    note: str | None = None
    internal: bool = False
    version: int = 1
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link or session: what it is for, and what it opens or confirms."""

    purpose: Purpose
    created: datetime
    expires: datetime
    mail: str | None = None
    submitter: str | None = None
    submission: str | None = None
    used: datetime | None = None

    def works(self, now: datetime) -> bool:
        return self.used is None and now < self.expires


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its *name* is its digest with a suffix, *content* its bytes; *width* and *height*
    are in pixels.
    """

    name: str
    content: bytes
    width: int
    height: int


class Stage(StrEnum):
    """How far a nomination came; the codes are those of the scheme of prize stages."""

    SUBMITTED = "submitted"
    NOMINATED = "nominated"
    CHAMPION = "champion"
    WINNER = "winner"


STAGES = tuple(Stage)
DAYS = ("announced", "opens", "closes", "nominees", "vote_opens", "vote_closes", "results")


def _check_languages(texts: dict[str, str]) -> dict[str, str]:
    if not texts or not all(name in LANGUAGES and 0 < len(texts[name]) <= 300 for name in texts):
        raise ValueError('write texts by language, as { en = "Impact" }')
    return texts


def _by_code(value: object) -> object:
    """Return the names of special prizes, a list in a file, by their codes."""
    if not isinstance(value, list):
        return value
    if len({item.get("code") for item in value if isinstance(item, dict)}) != len(value):
        raise ValueError("a code occurs twice")
    return {item["code"]: item.get("label") for item in value}


def _check_criteria(criteria: list[Criterion], info: ValidationInfo) -> list[Criterion]:
    if not (criteria or info.data.get("source")):
        raise ValueError("at least one is required, since experts score by them")
    if len({item.code for item in criteria}) != len(criteria):
        raise ValueError("a code occurs twice")
    return criteria


_ID = r"^[a-z0-9][a-z0-9-]{0,59}\z"
_ORDER = (
    ("opens", "closes"), ("closes", "nominees"), ("nominees", "vote_opens"), ("vote_opens", "vote_closes"), ("vote_closes", "results"),
    ("nominees", "results"), ("announced", "nominees"),
)  # fmt: skip
Code = Annotated[str, Field(pattern=_ID)]
Named = Annotated[dict[str, str], AfterValidator(_check_languages)]
Limit = Annotated[int, Field(ge=1)]


class Criterion(BaseModel):
    """A criterion by which experts score, with its weight. The ledger stores it as a list."""

    code: Code
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    label: Named

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, value: Any) -> Any:
        return dict(zip(cls.model_fields, value, strict=True)) if isinstance(value, list) else value


class Edition(BaseModel):
    """A contest. Days begin at 00:00 UTC. *special* has the names of special prizes by their codes.

    Nothing of it is shown before *announced*, no nomination before *nominees*, no champion or
    winner before *results*. An edition with a *source* was held elsewhere, and that source
    publishes its nominations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    id: Code
    title: Named
    year: int
    announced: date
    opens: date
    closes: date
    nominees: date
    results: date
    categories: list[str]
    source: str | None = None
    criteria: Annotated[list[Criterion], AfterValidator(_check_criteria)] = []
    special: Annotated[dict[Code, Named], BeforeValidator(_by_code)] = {}
    vote_opens: date | None = None
    vote_closes: date | None = None
    champions: Limit = 5
    winners: Limit = 2
    page: Annotated[str | None, Field(pattern=r"^https?://\S+\z")] = None

    @model_validator(mode="after")
    def _check_days(self) -> Edition:
        days = {name: day for name in DAYS if (day := getattr(self, name))}
        faults = [
            f"{second} is before {first}"
            for first, second in _ORDER
            if first in days and second in days and days[first] > days[second]
        ]
        if ("vote_opens" in days) != ("vote_closes" in days):
            faults.append(
                "vote_opens and vote_closes: write both days, or none if the public does not vote"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def is_past(self, day: date, now: datetime) -> bool:
        return now >= datetime.combine(day, time(), UTC)

    def takes_nominations(self, now: datetime) -> bool:
        return (
            self.source is None
            and self.is_past(self.opens, now)
            and not self.is_past(self.closes, now)
        )

    def takes_votes(self, now: datetime) -> bool:
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
        return {name: day for name in DAYS[1:] if (day := getattr(self, name)) is not None}


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
    """The review of a nomination by an expert: scores by criterion, or a conflict of interest."""

    nomination: str
    expert: str
    conflict: bool
    scores: Mapping[str, int]
    note: str
    time: datetime


_KEY_BYTES = 16


def _key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: *id* is the IRI of its activity, *inbox* that of the other installation,
    *object* the IRI that it is about.

    *key* ends its address here, *submission* is what an offer became or came from, *answer* the
    kind of the last answer.
    """

    id: str
    sent: bool
    inbox: str
    kind: str
    object: str
    body: Mapping[str, Any]
    created: datetime
    submission: str | None = None
    answer: str | None = None
    key: str = field(default_factory=_key)


class ProblemState(Enum):
    """The state of a problem: *sent* to the registry, *answered* by a person here, or *fixed* by a
    later harvest.
    """

    OPEN = "open"
    SENT = "sent"
    ANSWERED = "answered"
    FIXED = "fixed"


UNDECIDED = (ProblemState.OPEN, ProblemState.SENT)


@dataclass(frozen=True, slots=True)
class ReportedProblem:
    """A problem with a record. Without *key* it is about the source, without *source* about our page
    at the path *key*. Times are UTC.

    *digest* is that of the reported statements. *address* is the reader's, deleted when the problem
    is closed; *run* is the run that changed the statements, *answer* the answer of a person.
    """

    id: int
    source: str
    key: str
    category: str
    text: str
    address: str | None
    language: str
    state: ProblemState
    digest: str
    created: datetime
    changed: datetime
    answer: str | None = None
    run: str | None = None

    @property
    def is_about_record(self) -> bool:
        """Return whether it is about a record: a later harvest may fix it."""
        return bool(self.source and self.key)


FOLLOW_TOPIC = "follow "  # begins the topic of a subscription's messages; its number follows


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription to a search: *channel* is mail or webhook, *search* the parameters of its
    address; times are UTC.

    *results* are those of the last comparison, at the journal entry *position*: the time of the
    last change by IRI, None before the first comparison. *confirmed* is None until the recipient
    has confirmed the subscription.
    """

    id: int
    channel: str
    address: str
    search: str
    title: str
    language: str
    frequency: str
    secret: str
    created: datetime
    confirmed: datetime | None = None
    position: int | None = None
    results: Mapping[str, str] | None = None

    @property
    def topic(self) -> str:
        return f"{FOLLOW_TOPIC}{self.id}"
