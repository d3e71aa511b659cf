"""Records, good and bad, generated from a seed after the habits of registries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pytest

from vocab.describe import describe
from vocab.initiative import (
    Basis,
    Claim,
    Document,
    Event,
    Initiative,
    Party,
    Place,
    Post,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record

IRIS = Iris()
_AREA = "http://metadata.un.org/sdg/codes/geoArea/"
_SDG = "http://metadata.un.org/sdg/"

TEXTS = (
    Text("Digital health for Kenya", "en"), Text("E-health", "en"), Text("Santé numérique", "fr"), Text("健康", "zh"), Text("Untagged"),
    Text(" ", "en"), Text("", "en"), Text("X", "en"), Text("many words " * 30, "en"),
    Text("A <b>bold</b> title", "en"), Text("R&amp;D"),
    Text("lost \ufffd", "fr"), Text("tab\tand\nline \\ \"quoted\" \x07 \x7f", "en"), Text("Write to jane.doe@example.org", "en-GB"),
    Text("صحة", "ar"), Text("word " * 4001, "en"), Text("emoji 🏥", "EN"), Text("<script>x</script>", "en"),
    Text("javaScript:alert(1)", "es"), Text("<iframe src=x>"),
)  # fmt: skip
DATES = (
    "2019", "2020", "2024-05", "2018-12", "2020-02-29", "2024-02-30", "2021-06-01", "2024-05-01T12:00:00Z", "2019-01-01T00:00:00+02:00",
    "next spring", "0204-05-01", "1776", "2101", "20245", "05/06/2020", "", "2020\n", " 2020",
)  # fmt: skip
ADDRESSES = (
    "https://example.org/a", "http://example.org/ü?q=1#f", "www.example.org", "https://a b/", "mailto:x@example.org",
)  # fmt: skip
LANGUAGES = ("en", "fr-CA", "zh-Hans", "English", "e", "en_GB", "en\n")
LICENCES = ("https://creativecommons.org/licenses/by/4.0/", "CC BY", None)
COUNTRIES = (f"{_AREA}404", f"{_AREA}756", f"{_AREA}004", f"{_AREA}999", "Kenia", "ldc")
LINES = (
    IRIS.concept("action-line", "C7"), IRIS.concept("action-line", "C7-ehea"), IRIS.concept("action-line", "C1"),
    IRIS.concept("action-line", "C12"), "e-health", "http://x/C1",
)  # fmt: skip
GOALS = (f"{_SDG}3", f"{_SDG}4", f"{_SDG}17", f"{_SDG}18", f"{_SDG}0", "SDG 4", f"{_SDG}4/")
TARGETS = (
    f"{_SDG}3.d", f"{_SDG}4.4", f"{_SDG}17.18", f"{_SDG}1.19", f"{_SDG}4.40", "4.4", f"{_SDG}40.4",
)  # fmt: skip
NAMES = (
    Text("ITU", "en"), Text("UIT", "fr"), Text("Ministry of ICT"), Text(" ", "en"), Text("Jane jane@example.org", "en"),
    Text("long " * 70, "en"),
)  # fmt: skip
KINDS = (
    IRIS.concept("stakeholder-type", "government"), IRIS.concept("stakeholder-type", "parastatal"), "NGO", None,
)  # fmt: skip


X = TypeVar("X")


def _some(random: Random, values: Sequence[X], most: int = 2) -> tuple[X, ...]:
    return tuple(random.choices(values, k=random.randint(0, most)))


def _date(random: Random) -> str | None:
    return random.choice(DATES) if random.random() < 0.6 else None


def _claims(random: Random, concepts: Sequence[str]) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            concept,
            random.choice(list(Basis)),
            random.choice((None, "word")),
            random.choice((None, 0.0, 0.5, 1.0, 75.0)),
        )
        for concept in _some(random, concepts)
    )


def _parties(random: Random, key: str) -> tuple[Party, ...]:
    """Return parties of this record alone, and one that other records name too."""
    own = [
        Party(
            role=random.choice(list(Role)),
            name=name,
            key=f"{key}-{random.randint(1, 2)}",
            kind=random.choice(KINDS),
            country=random.choice(COUNTRIES),
            page=random.choice(ADDRESSES),
        )
        for name in _some(random, NAMES)
    ]
    return (*own, *_some(random, [Party(Role.FUNDER, Text("World Bank"), "wb", "bank")], 1))


def _places(random: Random) -> tuple[Place, ...]:
    latitudes, longitudes = (0.0, -1.28, 90.0, 128.0), (0.0, 36.82, -180.0, 3682.0)
    names = (None, None, Text("hub@example.org", "en"))
    return tuple(
        Place(random.choice(names), random.choice(latitudes), random.choice(longitudes))
        for _ in _some(random, "ab")
    )


def _prizes(random: Random) -> tuple[Prize, ...]:
    category = (IRIS.concept("prize-category", "C1"), "E-HEALTH")
    stage = (
        IRIS.concept("prize-stage", "winner"),
        IRIS.concept("prize-stage", "champion"),
        "runner-up",
    )
    years = (None, 2005, 2011, 2012, 2024)
    return tuple(
        Prize(random.choice(category), random.choice(stage), random.choice(years))
        for _ in _some(random, "a")
    )


def _own(random: Random, kind: type[Resource]) -> dict[str, Any]:
    if kind is Document:
        return {
            "creators": _some(random, NAMES),
            "kind": random.choice((None, "report", "http://purl.org/coar/resource_type/c_93fc")),
        }
    if kind is Post:
        return {
            "content": random.choice((None, *TEXTS)),
            "container": random.choice((None, *ADDRESSES)),
        }
    dated: dict[str, Any] = {
        "start": _date(random),
        "end": random.choice((None, None, _date(random))),
        "places": _places(random),
    }
    if kind is Event:
        own = {
            "venue": random.choice((None, *NAMES)),
            "registration": random.choice((None, *ADDRESSES)),
        }
        return dated | own | {"cancelled": random.random() < 0.3}
    codes = (("coverage", random.choice(("local", "regional"))), ("status", "ongoing"))
    coded = {name: random.choice((None, "word", IRIS.concept(name, code))) for name, code in codes}
    types = _some(
        random,
        (
            IRIS.concept("activity-type", "project"),
            IRIS.concept("activity-type", "fair"),
            "roadshow",
        ),
    )
    return dated | coded | {"activity_types": types, "prizes": _prizes(random)}


def resource(random: Random, key: str) -> Resource:
    kind = random.choice((Initiative, Initiative, Initiative, Event, Document, Post))
    return kind(
        key=key, titles=_some(random, TEXTS, 3), descriptions=_some(random, TEXTS),
        identifiers=_some(random, ("", "id-1", " ")), pages=_some(random, ADDRESSES),
        languages=_some(random, LANGUAGES), licences=tuple(filter(None, (random.choice(LICENCES),))),
        issued=_date(random), modified=_date(random), countries=_some(random, COUNTRIES),
        parties=_parties(random, key), action_lines=_claims(random, LINES), goals=_claims(random, GOALS),
        targets=_claims(random, TARGETS) if random.random() < 0.3 else (), subjects=_some(random, TEXTS, 1),
        related=_some(random, ADDRESSES, 1), **_own(random, kind),
    )  # fmt: skip


def record(random: Random, key: str) -> list[str]:
    """Return the statements of a generated resource and of its record; now and then one is lost or
    a time is spoilt, as by a bug of ours.
    """
    seen = datetime(2024, 1, 1, tzinfo=UTC)
    about = Provenance(
        "gen", "r1", "fields", random.choice(("ab" * 32, "none")), seen,
        seen + timedelta(days=random.choice((-1, 0, 1))),
    )  # fmt: skip
    statements = describe(resource(random, key), IRIS, "gen") + describe_record(key, IRIS, about)
    if random.random() < 0.3:
        statements.remove(random.choice(statements))
    if random.random() < 0.1:
        statements = [
            line.replace("2024-01-01T00:00:00Z", random.choice(("2024-13-01T00:00:00Z", "soon")))
            for line in statements
        ]
    return statements


@pytest.fixture(scope="session")
def records() -> Callable[[int, int], list[list[str]]]:
    def make(seed: int, count: int) -> list[list[str]]:
        random = Random(seed)
        return [record(random, f"k{number}") for number in range(count)]

    return make
