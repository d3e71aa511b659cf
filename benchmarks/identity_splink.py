"""Match the labelled set of ``benchmarks.identity`` by splink, as a peer: `python -m
benchmarks.identity_splink [--size N] [--seed S]`.

splink is not among the dependencies: `uv pip install "splink>=5,<6"` first. Source:
https://moj-analytical-services.github.io/splink/
"""

from __future__ import annotations

import argparse
import logging
import resource
import time
from importlib import import_module
from typing import Any

import duckdb

from benchmarks.identity import Labelled, labelled_set
from harvesters.matching.entities import Entity
from harvesters.matching.pairs import Pair, ordered

_COLUMNS = (
    "unique_id",
    "name",
    "words",
    "pair",
    "countries",
    "country",
    "start",
    "year",
    "pages",
    "page",
    "hosts",
    "host",
    "parties",
)
_PEER = "splink"  # not declared: it is installed for this comparison only
_LEAST = 0.01  # probability of the pairs that are read
_SHOWN = (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)


def _row(entity: Entity) -> tuple[object, ...]:
    names = [" ".join(sorted(words)) for words in entity.words]
    words = sorted({word for words in entity.words for word in words})
    many = [
        sorted(values)
        for values in (
            entity.countries,
            entity.pages,
            entity.hosts,
            (" ".join(party) for party in entity.parties),
        )
    ]
    countries, pages, hosts, parties = many
    first = [next(iter(values), None) for values in (names, countries, pages, hosts)]
    dates = entity.start or None, entity.start[:4] or None
    return (
        entity.iri,
        first[0],
        words,
        " ".join(words[:2]),
        countries,
        first[1],
        *dates,
        pages,
        first[2],
        hosts,
        first[3],
        parties,
    )


def _settings(splink: Any, kind: str) -> tuple[Any, list[Any]]:
    """Return the settings, and the blocking rules of the training."""
    compare = import_module(f"{_PEER}.comparison_library")
    levels = import_module(f"{_PEER}.comparison_level_library")
    block = splink.block_on
    comparisons = [
        compare.JaroWinklerAtThresholds("name", [0.95, 0.9, 0.8]).configure(
            term_frequency_adjustments=True
        ),
        compare.ArrayIntersectAtSizes("words", [5, 4, 3, 2, 1]),
        compare.ArrayIntersectAtSizes("countries", [1]),
    ]
    rules = [block("name"), block("country", "pair"), block("page"), block("pair")]
    training = [block("name"), block("pair"), block("country", "pair")]
    if kind == "initiative":
        dates = [
            levels.NullLevel("start"),
            levels.ExactMatchLevel("start"),
            levels.ExactMatchLevel("year"),
            levels.ElseLevel(),
        ]
        comparisons += [
            compare.CustomComparison(output_column_name="start", comparison_levels=dates),
            compare.ArrayIntersectAtSizes("pages", [1]),
            compare.ArrayIntersectAtSizes("parties", [2, 1]),
        ]
        rules = [*rules, block("start"), block("host")]
        training = [block("name"), block("page"), block("start")]
    settings_creator = splink.SettingsCreator(
        link_type="dedupe_only",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=rules,
    )
    return settings_creator, training


def match(labelled: Labelled, kind: str) -> dict[Pair, float]:
    """Return the probability of each pair of one kind."""
    splink = import_module(_PEER)
    connection = duckdb.connect()
    columns = ", ".join(
        f"{name} VARCHAR{'[]' if name in ('words', 'countries', 'pages', 'hosts', 'parties') else ''}"
        for name in _COLUMNS
    )
    connection.execute(f"CREATE TABLE entities ({columns})")
    rows = [_row(entity) for entity in labelled.entities.values() if entity.kind == kind]
    connection.executemany(f"INSERT INTO entities VALUES ({', '.join('?' * len(_COLUMNS))})", rows)
    settings, training = _settings(splink, kind)
    linker = splink.Linker(splink.DuckDBAPI(connection).register("entities"), settings)
    linker.training.estimate_probability_two_random_records_match(
        [splink.block_on("name", "country")], recall=0.6
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for rule in training:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, record_sample_proportion=1.0
        )
    result = linker.inference.predict(threshold_match_probability=_LEAST).as_record_list()
    return {
        ordered(row["unique_id_l"], row["unique_id_r"]): row["match_probability"] for row in result
    }


def main() -> None:
    """Print precision and recall by threshold, and the time and memory that splink took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    labelled = labelled_set(options.size, options.seed)
    for kind in ("initiative", "organization"):
        started = time.process_time()
        scored, truth = match(labelled, kind), labelled.true_pairs(kind)
        print(
            f"{kind}: {len(truth)} true pairs, {time.process_time() - started:.1f} s of processor time"
        )
        precise = [
            limit
            for limit in sorted(set(scored.values()))
            if _precision(scored, truth, limit)[0] >= 0.99
        ]
        for limit in (*_SHOWN, *precise[:1]):
            precision, recall = _precision(scored, truth, limit)
            print(f"  {limit:8.6f}  {precision:9.4f}  {recall:6.4f}")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _precision(scored: dict[Pair, float], truth: set[Pair], limit: float) -> tuple[float, float]:
    chosen = {pair for pair, probability in scored.items() if probability >= limit}
    right = len(chosen & truth)
    return (right / len(chosen) if chosen else 1.0), right / len(truth)


if __name__ == "__main__":
    main()
