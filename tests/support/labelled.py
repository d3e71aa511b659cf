"""A labelled set for the matching of records, made by the demo's generator.

Two registries share a third of their initiatives, in other spellings, orders and languages, with
missing dates and pages, and have near misses: later phases, the same title in another country,
namesakes of organizations abroad. The weights were set by hand on seed 1; measure with another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from random import Random

from demo.generate import Project, generate_record
from harvesters.matching.entities import (
    Entity,
    EntityStore,
    open_entities,
    parse_entities,
)
from harvesters.matching.match import Pair
from harvesters.matching.scoring import AUTOMATIC, QUEUED, score_pairs
from vocab.describe import describe
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris, slug
from vocab.lookup import country

IRIS = Iris()
_FORMS = ("Ltd.", "Inc.", "GmbH", "S.A.", "LLC")
_SHARE = 3  # one record in this many is in both registries
_MISSES = 6  # one record in this many has a near miss


@dataclass(frozen=True, slots=True)
class Labelled:
    """Entities, and the thing that each of them is."""

    entities: dict[str, Entity]
    labels: dict[str, str]

    def true_pairs(self, kind: str) -> set[Pair]:
        """Return the pairs of entities of one kind that are the same thing."""
        members: dict[str, list[str]] = {}
        for iri in sorted(self.entities):
            if self.entities[iri].kind == kind:
                members.setdefault(self.labels[iri], []).append(iri)
        return {pair for group in members.values() for pair in combinations(group, 2)}


def labelled_set(size: int, seed: int) -> Labelled:
    """Return *size* initiatives of each of two registries, with their organizations."""
    pieces, labels, random = list[Entity](), dict[str, str](), Random(seed)
    add = pieces.extend
    for number in range(size):
        project = generate_record(seed, number)
        _add(add, labels, "first", str(number), project, f"project {number}", random, varied=False)
        if number % _SHARE == 0:
            _add(
                add,
                labels,
                "second",
                f"b{number}",
                project,
                f"project {number}",
                random,
                varied=True,
            )
        else:
            other = generate_record(seed, size + number)
            _add(
                add,
                labels,
                "second",
                f"b{number}",
                other,
                f"project {size + number}",
                random,
                varied=True,
            )
        if number % _MISSES == 1:
            _add(
                add,
                labels,
                "second",
                f"m{number}",
                _near_miss(project, number, random),
                f"miss {number}",
                random,
                varied=False,
            )
    with filled(pieces) as entities:
        return Labelled(dict(entities), labels)


@contextmanager
def many_sources(size: int, sources: int, seed: int) -> Iterator[EntityStore]:
    """Open a store of the entities of *size* initiatives of *sources* registries.

    One in _SHARE initiatives is that of another registry in another spelling.
    """
    with open_entities() as entities:
        add, random = entities.add, Random(seed)
        for number in range(size):
            is_copy = number % _SHARE == 0 and number >= sources
            original = number - 1 if is_copy else number
            project = generate_record(seed, original)
            _add(
                add,
                {},
                f"registry{number % sources}",
                str(number),
                project,
                f"project {original}",
                random,
                varied=is_copy,
            )
        entities.merge()
        yield entities


def _near_miss(project: Project, number: int, random: Random) -> Project:
    """Return another initiative that looks like *project*: a later phase of it, or one of the same
    title in another country.
    """
    year, rest = int(project["period"]["from"][:4]) + 3, project["period"]["from"][4:]
    later = {**project["period"], "from": f"{year}{rest}"}
    links = [f"https://other{number}.example.org/"]
    if random.random() < 0.5:
        title = {tag: f"{text} (phase 2)" for tag, text in project["title"].items()}
        return {**project, "title": title, "period": later, "links": links}
    abroad: Project = {**project["lead"], "country": "IS"}
    return {
        **project,
        "countries": ["IS"],
        "period": later,
        "links": links,
        "lead": abroad,
        "partners": [],
        "funders": [],
    }


def _add(
    add: Callable[[Iterable[Entity]], None],
    labels: dict[str, str],
    source: str,
    key: str,
    project: Project,
    label: str,
    random: Random,
    *,
    varied: bool,
) -> None:
    initiative = _initiative(key, project, random if varied else None)
    statements = describe(initiative, IRIS, source)
    add(parse_entities(IRIS.record(source, key), statements, IRIS))
    labels[IRIS.thing("initiative", source, key)] = label
    for party, original in zip(initiative.parties, _organizations(project), strict=False):
        organization = IRIS.thing("organization", source, party.key or slug(party.name.value))
        labels[organization] = f"{original['name']} {original['country']}"


def _organizations(project: Project) -> Iterator[Project]:
    yield project["lead"]
    yield from project["partners"]
    yield from project["funders"]


def _initiative(key: str, project: Project, random: Random | None) -> Initiative:
    """Return *project* as a registry publishes it; with *random*, as another registry does."""
    titles = [Text(text, tag) for tag, text in project["title"].items()]
    start: str | None = project["period"]["from"]
    links = project["links"]
    if random:
        alternatives = titles[1:] if len(titles) > 1 and random.random() < 0.5 else titles
        titles = [Text(_respell(text.value, random), text.language) for text in alternatives]
        start = random.choice((start, start, start, start[:4] if start else None, None))
        links = links if random.random() < 0.5 else []
    roles = [
        Role.LEAD,
        *[Role.PARTNER] * len(project["partners"]),
        *[Role.FUNDER] * len(project["funders"]),
    ]
    parties = [
        _party(role, item, random)
        for role, item in zip(roles, _organizations(project), strict=True)
    ]
    countries = tuple(iri for text in project["countries"] if (iri := country(text)))
    return Initiative(
        key=key,
        titles=tuple(titles),
        start=start,
        pages=tuple(links),
        countries=countries,
        parties=tuple(parties),
    )


def _party(role: Role, organization: Project, random: Random | None) -> Party:
    name, position = organization["name"], country(organization["country"])
    if random:
        roll = random.random()
        name = (
            f"{name} {random.choice(_FORMS)}"
            if roll < 0.25
            else _respell(name, random)
            if roll < 0.5
            else name
        )
        position = position if random.random() < 0.7 else None
    # Registries that know the country of an organization keep namesakes of two countries apart.
    return Party(
        role, Text(name), f"{slug(name)}-{organization['country'].lower()}", None, position
    )


def _respell(text: str, random: Random) -> str:
    """Return *text* as it is, in capitals, with a typing error, other punctuation or another order
    of its parts.
    """
    position = random.randrange(1, max(2, len(text) - 2))
    swapped = (
        text[:position]
        + text[position + 1 : position + 2]
        + text[position : position + 1]
        + text[position + 2 :]
    )
    turned = ", ".join(reversed(text.split(", "))) if ", " in text else text
    return random.choice((text, text.upper(), swapped, text.replace(",", " –"), turned, f"{text}."))


@contextmanager
def filled(entities: Iterable[Entity]) -> Iterator[EntityStore]:
    """Open a store of *entities*, which are marked as changed."""
    with open_entities() as store:
        store.add(entities)
        store.mark_changed(iri for (iri,) in store.database.execute("SELECT iri FROM piece"))
        store.merge()
        yield store


def measure(labelled: Labelled, kind: str) -> dict[str, object]:
    """Return precision and recall at each threshold, and at the two thresholds that are used."""
    truth = labelled.true_pairs(kind)
    with filled(entity for entity in labelled.entities.values() if entity.kind == kind) as entities:
        scored = {pair: score.bits for pair, score in score_pairs(entities)}
    curve = {
        bits: _precision_recall(scored, truth, bits)
        for bits in (QUEUED, 8.0, 10.0, 12.0, AUTOMATIC, 16.0, 18.0, 20.0)
    }
    return {"kind": kind, "true pairs": len(truth), "scored": len(scored), "curve": curve}


def _precision_recall(
    scored: dict[Pair, float], truth: set[Pair], bits: float
) -> tuple[float, float, int]:
    """Return precision, recall and the number of wrong pairs from *bits* on."""
    chosen = {pair for pair, score in scored.items() if score >= bits}
    right = len(chosen & truth)
    return (
        (right / len(chosen) if chosen else 1.0),
        (right / len(truth) if truth else 1.0),
        len(chosen) - right,
    )
