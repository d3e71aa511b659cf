"""Measure the matching of records on a labelled set: `python -m benchmarks.identity [--size N]
[--seed S] [--sources K [--ledger FILE]]`.

The set is made by the demo's generator: two registries share a third of their initiatives, in other
spellings, orders and languages, with missing dates and pages, and have near misses: later phases,
the same title in another country, namesakes of organizations abroad. The weights were set by hand
on seed 1; measure with another one. With `--sources`, N records of K registries are matched, a
third of which describe an initiative of another registry, and time and peak memory are printed.
With `--data FOLDER` beside it, the records are written to the ledger of a new data folder; if it is
there, its new and changed records are matched, and the clusters published, as a running service
does (`harvesters.runs.schedule.match_changes`).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import combinations, islice
from pathlib import Path
from random import Random

import sqlalchemy as sa

from demo.generate import Organization, Project, generate_record
from harvesters.ledger import tables as t
from harvesters.ledger.compression import compress
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import RecordState
from harvesters.matching.clusters import count_pairs
from harvesters.matching.entities import Entity, EntityReader, add_known_names
from harvesters.matching.entity_store import EntityStore, open_entities
from harvesters.matching.match import match_records
from harvesters.matching.pairs import Pair, score_pairs
from harvesters.matching.scoring import AUTOMATIC, QUEUED
from harvesters.matching.scratch import open_scratch
from harvesters.matching.stored import store_known_names
from harvesters.network.settings import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.publish_clusters import publish_clusters
from vocab.countries import country
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris, slug
from vocab.statements.describe import describe

IRIS = Iris()
_FORMS = ("Ltd.", "Inc.", "GmbH", "S.A.", "LLC")
_SHARE = 3  # one record in this many is in both registries
_STORED = 1_000  # records of one transaction
_CHANGED = 100  # one entity in this many is marked as changed
_STARTED = time.monotonic()
_MISSES = 6  # one record in this many has a near miss


@dataclass(frozen=True, slots=True)
class Labelled:
    """Entities, and the thing that each of them is."""

    entities: dict[str, Entity]
    labels: dict[str, str]

    def true_pairs(self, kind: str) -> set[Pair]:
        """Return the pairs of one kind that are one thing."""
        members: dict[str, list[str]] = {}
        for iri in sorted(self.entities):
            if self.entities[iri].kind == kind:
                members.setdefault(self.labels[iri], []).append(iri)
        return {pair for group in members.values() for pair in combinations(group, 2)}


def labelled_set(size: int, seed: int) -> Labelled:
    """Return *size* initiatives of each of two registries, with their organizations."""
    entities, labels = dict[str, Entity](), dict[str, str]()
    reader, random = EntityReader(IRIS, entities), Random(seed)
    for number in range(size):
        project = generate_record(seed, number)
        _add(
            reader, labels, "first", str(number), project, f"project {number}", random, varied=False
        )
        if number % _SHARE == 0:
            _add(
                reader,
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
                reader,
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
                reader,
                labels,
                "second",
                f"m{number}",
                _near_miss(project, number, random),
                f"miss {number}",
                random,
                varied=False,
            )
    for entity in entities.values():
        if entity.kind == "organization":
            add_known_names(entity)
    return Labelled(entities, labels)


@contextmanager
def many_sources(size: int, sources: int, seed: int) -> Iterator[EntityStore]:
    """Open a store of the entities of *size* initiatives of *sources* registries.

    One in _SHARE initiatives is another registry's, in other spelling.
    """
    with open_entities() as entities:
        reader, random = EntityReader(IRIS, entities), Random(seed)
        for number in range(size):
            is_copy = number % _SHARE == 0 and number >= sources
            original = number - 1 if is_copy else number
            project = generate_record(seed, original)
            _add(
                reader,
                {},
                f"registry{number % sources}",
                str(number),
                project,
                f"project {original}",
                random,
                varied=is_copy,
            )
        store_known_names(entities)
        entities.mark_changed(islice(entities, 0, None, _CHANGED))
        yield entities


def fill_ledger(folder: Path, size: int, sources: int, seed: int) -> None:
    """Write the records of `many_sources` to the ledger of a new data folder, as published."""
    random, seen = Random(seed), datetime(2026, 1, 1)
    folder.mkdir(parents=True)
    with closing(Ledger(_ledger(folder))) as ledger:
        for start in range(0, size, _STORED):
            with ledger.transaction() as connection:
                for number in range(start, min(size, start + _STORED)):
                    is_copy = number % _SHARE == 0 and number >= sources
                    project = generate_record(seed, number - 1 if is_copy else number)
                    source = f"registry{number % sources}"
                    text = "\n".join(
                        describe(
                            _initiative(str(number), project, random if is_copy else None),
                            IRIS,
                            source,
                        )
                    )
                    row = {
                        "source": source,
                        "key": str(number),
                        "state": RecordState.PUBLISHED.value,
                        "first_seen": seen,
                        "run": "r",
                    }
                    connection.execute(
                        sa.insert(t.record).values(
                            **row, seq=number, digest="", content="", misses=0
                        )
                    )
                    connection.execute(
                        sa.insert(t.description).values(
                            run="r", seq=number, statements=compress(text)
                        )
                    )


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
    abroad: Organization = {**project["lead"], "country": "IS"}
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
    reader: EntityReader,
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
    reader.read(IRIS.record(source, key), describe(initiative, IRIS, source))
    labels[IRIS.thing("initiative", source, key)] = label
    for party, original in zip(initiative.parties, _organizations(project), strict=False):
        organization = IRIS.thing("organization", source, party.key or slug(party.name.value))
        labels[organization] = f"{original['name']} {original['country']}"


def _organizations(project: Project) -> Iterator[Organization]:
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


def _party(role: Role, organization: Organization, random: Random | None) -> Party:
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


def measure(labelled: Labelled, kind: str) -> dict[str, object]:
    """Return precision and recall at each threshold, and those of the two that are used."""
    truth = labelled.true_pairs(kind)
    with open_entities(
        entity for entity in labelled.entities.values() if entity.kind == kind
    ) as entities:
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


def _measure_many(entities: EntityStore) -> None:
    """Print what matching all entities takes, and matching again the pairs of one in a hundred,
    with a digest of the scores.
    """
    print(f"{len(entities)} entities, peak {_peak_memory():.0f} MB")
    for name, only_changed in (("all", False), ("one in a hundred", True)):
        started = time.process_time()
        with open_scratch(
            "CREATE TABLE row (pair TEXT PRIMARY KEY, score TEXT) WITHOUT ROWID"
        ) as database:
            rows = (
                (" ".join(pair), repr(score))
                for pair, score in score_pairs(entities, only_changed=only_changed)
            )
            database.executemany("INSERT INTO row VALUES (?, ?)", rows)
            seconds, digest, pairs = time.process_time() - started, sha256(), 0
            for row in database.execute("SELECT pair, score FROM row ORDER BY pair"):
                pairs += 1
                digest.update(repr(row).encode())
        print(
            f"{name}: {pairs} pairs, {seconds:.1f} s of processor time, peak {_peak_memory():.0f} MB, {digest.hexdigest()[:16]}"
        )


def _measure_ledger(folder: Path) -> None:
    """Print the time and the peak memory of each step of what a running service does after a
    harvest.
    """
    with (
        open_context(folder, _ledger(folder), IRIS.base, NetworkSettings("")) as context,
        match_records(context.ledger, IRIS, only_changed=True) as matching,
    ):
        _print_step(f"{matching.records} records, {len(matching.entities)} entities matched")
        counts = count_pairs(context.ledger, matching.entities)
        _print_step(
            f"{sum(counts.statuses.values())} pairs counted, {sum(counts.sets.values())} sets"
        )
        with publish_clusters(context, matching.entities) as (_, changes):
            _print_step(f"{len(changes)} clusters published")


def _ledger(folder: Path) -> str:
    return f"sqlite:///{folder}/ledger.sqlite"


def _print_step(text: str) -> None:
    used, passed = time.process_time(), time.monotonic() - _STARTED
    print(
        f"{text}: {used:.1f} s of processor time, {passed:.1f} s, peak {_peak_memory():.0f} MB",
        flush=True,
    )


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print precision and recall by threshold, and the time and memory that matching took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", type=int, default=3000, help="initiatives of each of the two registries"
    )
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument(
        "--sources",
        type=int,
        default=0,
        help="registries over which the initiatives are spread; 0: the labelled set",
    )
    parser.add_argument(
        "--data", type=Path, help="data folder, which is made if there is none; with --sources"
    )
    options = parser.parse_args()
    if options.data and options.data.exists():
        _measure_ledger(options.data)
        return
    if options.data:
        fill_ledger(options.data, options.size, options.sources or 10, options.seed)
        return
    if options.sources:
        with many_sources(options.size, options.sources, options.seed) as entities:
            _measure_many(entities)
        return
    labelled = labelled_set(options.size, options.seed)
    started = time.process_time()
    for kind in ("initiative", "organization"):
        result = measure(labelled, kind)
        print(
            f"{kind}: {result['true pairs']} true pairs, {result['scored']} pairs of {QUEUED:g} bits or more"
        )
        print("  bits  precision  recall  wrong pairs")
        curve = result["curve"]
        assert isinstance(curve, dict)
        for bits, (precision, recall, wrong) in curve.items():
            used = {AUTOMATIC: "  automatic", QUEUED: "  queue"}.get(bits, "")
            print(f"  {bits:4.0f}  {precision:9.4f}  {recall:6.4f}  {wrong:11}{used}")
    seconds = (time.process_time() - started) / 2  # each measurement scores both kinds
    print(
        f"{len(labelled.entities)} entities: {seconds:.1f} s of processor time, {_peak_memory():.0f} MB"
    )


if __name__ == "__main__":
    main()
