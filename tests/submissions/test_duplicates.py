from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from clocks import NOON

from harvesters.ledger import tables as t
from harvesters.ledger.models import RecordState, compress
from harvesters.participation.check import Check, Duplicate, DuplicateFinder, check
from harvesters.participation.model import normalize
from vocab.describe import describe
from vocab.initiative import Initiative, Text
from vocab.iris import BASE, Iris

from .conftest import INITIATIVE, SubmissionWorld

KENYA, GHANA = (f"http://metadata.un.org/sdg/codes/geoArea/{code}" for code in (404, 288))


def publish(world: SubmissionWorld, key: str, title: str, **values: Any) -> str:
    item = Initiative(key=key, titles=(Text(title, "en"),), **values)
    with world.ledger.transaction() as connection:
        number = connection.execute(sa.select(sa.func.count()).select_from(t.record)).scalar_one()
        row = {
            "source": "registry", "key": key, "state": RecordState.PUBLISHED.value, "digest": "", "content": "", "first_seen": NOON,
            "run": "1", "seq": number, "misses": 0, "fingerprint": number,
        }  # fmt: skip
        connection.execute(sa.insert(t.record).values(**row))
        text = compress("\n".join(describe(item, Iris(BASE), "registry")))
        connection.execute(sa.insert(t.description).values(run="1", seq=number, statements=text))
    return Iris(BASE).thing("initiative", "registry", key)


def check_of(world: SubmissionWorld, candidates: Mapping[str, str], **changes: Any) -> Check:
    known = [Duplicate(iri, text, "title") for iri, text in candidates.items()]
    content = normalize({**INITIATIVE, **changes}, BASE, None)
    finder = DuplicateFinder(lambda _: known)
    return check(world.ledger, content, "new", world.context.submission_source(), BASE, finder)


@pytest.fixture
def corpus(world: SubmissionWorld) -> SubmissionWorld:
    """Publish thirty records with words of their own, so that a word of one title is rare."""
    for number in range(30):
        title = f"Programme {chr(97 + number % 26)}{number}word of schools"
        publish(world, f"other-{number}", title)
    return world


def test_an_initiative_with_its_words_in_another_order_is_found(corpus: SubmissionWorld) -> None:
    iri = publish(corpus, "1", "Telecentres, village", countries=(KENYA,), start="2025-01-01")

    (duplicate,) = check_of(corpus, {iri: "Telecentres, village"}).duplicates

    assert (duplicate.address, duplicate.why) == (iri, "title")
    assert duplicate.bits >= 6
    assert set(duplicate.features) == {"name", "country", "start"}
    assert sorted(duplicate.reasons) == ["a similar title", "the same country", "the same start"]


def test_a_similar_title_of_another_country_and_phase_is_not(corpus: SubmissionWorld) -> None:
    title = "Village telecentres phase 2"
    other = publish(corpus, "1", title, countries=(GHANA,), start="2019-01-01")

    assert check_of(corpus, {other: title}).duplicates == ()


def test_the_likeliest_comes_first(corpus: SubmissionWorld) -> None:
    title = "Village telecentres"
    same = publish(corpus, "1", title, countries=(KENYA,), start="2025-01-01")
    other = publish(corpus, "2", title, countries=(KENYA,), start="2024-01-01")

    duplicates = check_of(corpus, {other: title, same: title}).duplicates

    assert [duplicate.address for duplicate in duplicates] == [same, other]
    assert duplicates[0].bits > duplicates[1].bits


def test_an_event_is_compared_by_its_title(corpus: SubmissionWorld) -> None:
    events = (f"{BASE}id/event/registry/1", f"{BASE}id/event/registry/2")
    candidates = dict(zip(events, ("Open data day", "Open door day of the port"), strict=True))
    changes = {"type": "Event", "title": {"en": "Day, open data"}, "start": "2026-01-01"}

    checked = check_of(corpus, candidates, **changes)

    assert [duplicate.address for duplicate in checked.duplicates] == [events[0]]
