"""Apply the rules of a contest: nominate, review, vote, decide about stages, and read the file that
defines an edition.

Contests are published as records of the source ``prizes``, by the plan, guard and journal of a run.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError
from pyoxigraph import RdfFormat, parse

from harvesters.errors import PrizeError, require
from harvesters.ledger import prizes
from harvesters.ledger.database import Database
from harvesters.ledger.participation import (
    STAGES,
    Edition,
    Nomination,
    Review,
    Stage,
)
from harvesters.ledger.submissions import new_id
from harvesters.site import InvalidValue, NotAllowed, NotFound, check_note
from vocab.iris import BASE, Iris
from vocab.schemes import concepts
from vocab.terms import DCT, FOAF, SKOS

MIN_SCORE, MAX_SCORE = 1, 5
MAX_REASON = 2_000  # characters
_KNOWN_BY = (f"{DCT}title", f"{FOAF}page", f"{DCT}spatial", f"{DCT}publisher", f"{SKOS}prefLabel")
MAX_NOMINATIONS = 20  # nominations of one person in an edition


@dataclass(frozen=True, slots=True)
class Ranked:
    """A nomination with the weighted mean of its scores (None without any), and the numbers of
    reviews, conflicts and votes.
    """

    nomination: Nomination
    score: float | None
    reviews: int
    conflicts: int
    votes: int


def announced_editions(ledger: Database, now: datetime) -> list[Edition]:
    return [item for item in prizes.editions(ledger) if item.is_past(item.announced, now)]


def find_edition(ledger: Database, id: str, now: datetime) -> Edition:
    """Return an announced edition; raise NotFound for any other, even one that exists."""
    edition = prizes.find_edition(ledger, id)
    return require(
        edition if edition and edition.is_past(edition.announced, now) else None,
        NotFound("There is no such edition of the prizes."),
    )


def find_nomination(ledger: Database, edition: Edition, id: str) -> Nomination:
    """Return a nomination; raise NotFound."""
    nominations = prizes.nominations(ledger, edition=edition.id, id=id)
    return require(next(iter(nominations), None), NotFound("There is no such nomination."))


def nominate(
    ledger: Database,
    base: str,
    edition: Edition,
    initiative: str,
    category: str,
    reason: str,
    submitter: str,
    now: datetime,
) -> Nomination:
    """Nominate an initiative of the register, by its address or that of its record, in one
    category.

    Raises NotAllowed outside the days or if another rule of the contest forbids it, and
    InvalidValue for an unknown initiative or category or a wrong reason.
    """
    _check_nomination(edition, category, reason, now)
    thing, statements, content = _read_initiative(ledger, initiative, base)
    _refuse_winner(ledger, thing, statements, base)
    own = prizes.nominations(ledger, edition=edition.id, submitter=submitter)
    if len(own) >= MAX_NOMINATIONS:
        raise NotAllowed(
            "You have %(count)s nominations in this edition; more are not possible.",
            count=MAX_NOMINATIONS,
        )
    nomination = Nomination(
        new_id(),
        edition.id,
        thing,
        content,
        category,
        Stage.SUBMITTED,
        None,
        reason.strip(),
        submitter,
        now.replace(microsecond=0),
    )
    if not prizes.add_nomination(ledger, nomination):
        raise NotAllowed(
            "This initiative is nominated in this edition already. It can be in one category only."
        )
    return nomination


def _check_nomination(edition: Edition, category: str, reason: str, now: datetime) -> None:
    """Raise NotAllowed outside the days, InvalidValue for an unknown category or no reason."""
    if not edition.takes_nominations(now):
        raise NotAllowed(
            "Nominations are open from %(first)s until the day before %(last)s.",
            first=f"{edition.opens}",
            last=f"{edition.closes}",
        )
    if category not in edition.categories:
        raise InvalidValue("Choose one of the categories of this edition.")
    if not reason.strip() or len(reason) > MAX_REASON:
        raise InvalidValue("Write why, in at most %(count)s characters.", count=MAX_REASON)


def _read_initiative(
    ledger: Database, initiative: str, base: str
) -> tuple[str, list[str], dict[str, Any]]:
    """Return the IRI of a published initiative, its statements, and what nominations show of it.
    Raises InvalidValue if there is none.
    """
    source, key = _name(initiative)
    statements = prizes.published_statements(ledger, source, key)
    thing = Iris(base).thing("initiative", source, key)
    content = _content(statements or [], thing)
    if statements is None or not content["title"]:
        raise InvalidValue(
            "The register has no initiative with this address. Copy the address of its page here."
        )
    return thing, statements, content


def _refuse_winner(ledger: Database, thing: str, statements: list[str], base: str) -> None:
    """Raise NotAllowed if an initiative won before: in an edition of this ledger, or by what its
    record says.
    """
    winner = f"<{Iris(base).ns}prizeStage> <{Iris(base).scheme('prize-stage')}/winner>"
    stages = (item.stage for item in prizes.nominations(ledger, thing=thing))
    if Stage.WINNER in stages or any(winner in line for line in statements):
        raise NotAllowed("This initiative has won before. Winners cannot be nominated again.")


def withdraw(ledger: Database, edition: Edition, id: str, submitter: str, now: datetime) -> None:
    """Delete a nomination of this submitter while nominations are open. Raises NotFound,
    NotAllowed.
    """
    nomination = find_nomination(ledger, edition, id)
    require(nomination.submitter == submitter, NotFound("There is no such nomination."))
    if not edition.takes_nominations(now):
        raise NotAllowed("Nominations are closed. Ask the operators to withdraw it.")
    prizes.delete_nomination(ledger, id)


def review(
    ledger: Database,
    edition: Edition,
    id: str,
    expert: str | None,
    scores: Mapping[str, int],
    *,
    conflict: bool,
    note: str,
    now: datetime,
) -> Review:
    """Store the review of an expert: a score for each criterion, or a conflict of interest, after
    which the expert cannot score the nomination.

    Raises NotFound for a person who is not an expert of the edition, NotAllowed, InvalidValue.
    """
    earlier = reviews_of(ledger, edition, expert).get(id)
    if not edition.takes_reviews(now):
        raise NotAllowed(
            "Nominations are scored from %(first)s until the day before %(last)s.",
            first=f"{edition.closes}",
            last=f"{edition.results}",
        )
    nomination = find_nomination(ledger, edition, id)
    if nomination.stage is Stage.WINNER:
        raise NotAllowed("The winner of this category is decided.")
    if not conflict and earlier and earlier.conflict:
        raise NotAllowed(
            "You declared a conflict of interest for this nomination, so you cannot score it."
        )
    if not conflict:
        _check_scores(edition, scores)
    note = check_note(note, MAX_REASON)
    points = {} if conflict else dict(scores)
    reviewed = Review(id, expert or "", conflict, points, note, now.replace(microsecond=0))
    prizes.put_review(ledger, reviewed)
    return reviewed


def _check_scores(edition: Edition, scores: Mapping[str, int]) -> None:
    """Raise InvalidValue unless each criterion has a score in the range."""
    in_range = all(MIN_SCORE <= value <= MAX_SCORE for value in scores.values())
    if set(scores) != {item.code for item in edition.criteria} or not in_range:
        raise InvalidValue(
            "Score each criterion with %(least)s to %(most)s points.",
            least=MIN_SCORE,
            most=MAX_SCORE,
        )


def is_expert(ledger: Database, edition: Edition, mail: str | None) -> bool:
    return mail is not None and mail in prizes.experts(ledger, edition.id)


def reviews_of(ledger: Database, edition: Edition, mail: str | None) -> dict[str, Review]:
    """Return the reviews of an expert by nomination; raise NotFound for a person who is not one."""
    if not is_expert(ledger, edition, mail):
        raise NotFound("Only the experts of this edition can read this.")
    reviews = prizes.reviews(ledger, edition.id)
    return {item.nomination: item for item in reviews if item.expert == mail}


def vote(
    ledger: Database, edition: Edition, id: str, mail: str | None, now: datetime
) -> Nomination:
    """Store the vote of a confirmed address for a nomination: one in each category, the last one
    counts. Raises NotAllowed, NotFound.
    """
    if mail is None:
        raise NotAllowed(
            "Only persons with a confirmed address vote; a key of an organization has no vote."
        )
    require(edition.takes_votes(now), NotAllowed("There is no public vote on this day."))
    nomination = find_nomination(ledger, edition, id)
    if nomination.public_stage(edition, now) is None:
        raise NotFound("There is no such nomination.")
    prizes.put_vote(ledger, nomination, mail, now)
    return nomination


def set_stage(
    ledger: Database,
    edition: Edition,
    id: str,
    stage: Stage,
    special: str | None,
    now: datetime,
    base: str,
) -> Nomination:
    """Set the stage of a nomination, and its special prize. Raises NotAllowed, NotFound,
    InvalidValue.
    """
    nomination = find_nomination(ledger, edition, id)
    if special is not None and special not in edition.special:
        raise InvalidValue("This edition has no special prize with this code.")
    require(not edition.takes_nominations(now), NotAllowed("Nominations are still open."))
    same = [
        item
        for item in prizes.nominations(ledger, edition=edition.id, category=nomination.category)
        if item.id != id
    ]
    for limited, most in ((Stage.WINNER, edition.winners), (Stage.CHAMPION, edition.champions)):
        reached = sum(STAGES.index(item.stage) >= STAGES.index(limited) for item in same)
        if STAGES.index(stage) >= STAGES.index(limited) and reached >= most:
            raise NotAllowed(
                "The category %(category)s has %(count)s of this stage already.",
                category=nomination.category,
                count=most,
            )
    if stage is Stage.WINNER:
        statements = prizes.published_statements(ledger, *_name(nomination.thing))
        _refuse_winner(ledger, nomination.thing, statements or [], base)
    prizes.set_stage(ledger, id, stage, special or nomination.special)
    return find_nomination(ledger, edition, id)


def rank(ledger: Database, edition: Edition) -> list[Ranked]:
    """Return the nominations by category, the best score first, then the most votes. Reviews with a
    conflict have no score.
    """
    weights = {item.code: item.weight for item in edition.criteria}
    scored: dict[str, list[float]] = defaultdict(list)
    conflicts: Counter[str] = Counter()
    for item in prizes.reviews(ledger, edition.id):
        if item.conflict:
            conflicts[item.nomination] += 1
        elif known := {code: points for code, points in item.scores.items() if code in weights}:
            total = sum(weights[code] for code in known)
            scored[item.nomination].append(
                sum(weights[code] * points for code, points in known.items()) / total
            )
    counted = prizes.votes(ledger, edition.id)
    rows = [
        Ranked(
            item,
            sum(points) / len(points) if (points := scored[item.id]) else None,
            len(points),
            conflicts[item.id],
            counted.get(item.id, 0),
        )
        for item in prizes.nominations(ledger, edition=edition.id)
    ]
    order = {category: position for position, category in enumerate(edition.categories)}
    return sorted(
        rows,
        key=lambda row: (
            order.get(row.nomination.category, len(order)),
            -(row.score or 0),
            -row.votes,
            row.nomination.id,
        ),
    )


def _name(address: str) -> tuple[str, str]:
    """Return source and key of an initiative, from its IRI, its record's, or the path of their
    pages.
    """
    parts = address.strip().partition("?")[0].partition("#")[0].rstrip("/").split("/")
    if len(parts) < 3 or parts[-3] not in ("record", "initiative"):
        raise InvalidValue(
            "The register has no initiative with this address. Copy the address of its page here."
        )
    return unquote(parts[-2]), unquote(parts[-1])


def _content(statements: list[str], thing: str) -> dict[str, Any]:
    """Return what nominations show of an initiative: its titles by language, first web page,
    countries and lead organization.
    """
    lines = "".join(
        f"{line} .\n" for line in statements if any(f"> <{name}> " in line for name in _KNOWN_BY)
    )
    about: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for quad in parse(lines.encode(), RdfFormat.N_TRIPLES):
        subject = str(getattr(quad.subject, "value", ""))
        about[subject, quad.predicate.value].append(quad.object)
    leads = about[thing, f"{DCT}publisher"]
    names = [name.value for lead in leads for name in about[lead.value, f"{SKOS}prefLabel"]]
    more = {
        "page": [page.value for page in about[thing, f"{FOAF}page"][:1]],
        "country": [country.value for country in about[thing, f"{DCT}spatial"]],
        "publisher": {"name": names[0]} if names else None,
    }
    title = {text.language or "en": text.value for text in about[thing, f"{DCT}title"]}
    return {"title": title, **{name: value for name, value in more.items() if value}}


def categories() -> dict[str, str]:
    """Return the code of each of the 18 prize categories with its English name, in the order of the
    scheme.
    """
    lines = {
        concept.notations[0]
        for concept in concepts("action-line", BASE).values()
        if concept.notations
    }
    listed = concepts("prize-category", BASE).values()
    return {
        concept.notations[0]: concept.labels[0].value
        for concept in listed
        if concept.notations[0] in lines
    }


def parse_edition(id: str, text: str) -> Edition:
    """Return the edition *id* that the TOML *text* defines. Raises PrizeError with each key that is
    wrong, and why.
    """
    known = categories()
    try:
        table = tomllib.loads(text)
        # An edition without its first day is refused, so the day of its announcement is not needed.
        defaults = {"announced": table.get("opens", date.min), "categories": [*known]}
        edition = Edition.model_validate({**defaults, **table, "id": id}, strict=True)
    except tomllib.TOMLDecodeError as error:
        raise PrizeError(f"{id}: invalid TOML: {error}") from error
    except ValidationError as error:
        faults = (
            (".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))
            for item in error.errors()
        )
        raise PrizeError(
            "\n".join(": ".join(filter(None, (id, *fault))) for fault in faults)
        ) from error
    if not edition.categories or not known.keys() >= {*edition.categories}:
        raise PrizeError(f"{id}: categories: write a list of these: {', '.join(known)}")
    return edition
