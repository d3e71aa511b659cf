"""Search by meaning: how much better sixty rated queries are answered than by words alone, and what
a search and a text cost.

By hand: ``python -m benchmarks.meaning``
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from benchmarks.result_table import Aim, Json, Line, show
from demo.generate import generate_record
from languages.embedding import WIDTH, Vectors, embed, embed_query
from publisher.projections.search.index import IndexWriter, SearchEntry
from publisher.projections.search.query_parser import SearchRequest
from publisher.projections.search.searcher import Searcher
from publisher.projections.search.topics import Topic, write_topics
from publisher.projections.search.vector_database import VectorDatabase
from publisher.projections.search.vector_index import VectorIndex, fuse, near_things
from publisher.projections.search.vector_updater import embedded_text
from vocab.iris import BASE
from vocab.schemes import concepts

RATED = Path(__file__).with_name("queries") / "rated.toml"
DEPTH = 10  # results that are rated
_SEED, _REACH = 24, 10_000

Rated = Mapping[str, Mapping[str, str]]  # by language the queries, each with its topic


def load_queries() -> Rated:
    """Return the rated queries by language, each with the code of the topic that its relevant
    records have.
    """
    return tomllib.loads(RATED.read_text("utf-8"))


def generated_entries(count: int) -> tuple[list[SearchEntry], dict[str, str]]:
    """Return *count* records of the demo as the search index has them, linked to their action
    lines, and the topic of each.
    """
    entries, topics = [], {}
    for number in range(count):
        record = generate_record(_SEED, number)
        thing = f"{BASE}id/initiative/demo/{record['id']}"
        titles, texts = (
            tuple((text, tag) for tag, text in record[name].items())
            for name in ("title", "summary")
        )
        links = tuple(f"{BASE}scheme/action-line/{line}" for line in record["lines"])
        entries.append(SearchEntry(thing, "initiative", "demo", 0, titles, texts, links))
        topics[thing] = record["lines"][0]
    return entries, topics


def write_index(folder: Path, entries: Sequence[SearchEntry]) -> Searcher:
    """Write the words' index of *entries*, with the labels of the action lines, and open it."""
    writer = IndexWriter(folder)
    for entry in entries:
        writer.add(entry)
    writer.commit()
    writer.close()
    lines = concepts("action-line").values()
    labels = {
        line.iri: tuple((label.value, label.language) for label in line.labels) for line in lines
    }
    write_topics(folder, [Topic(line.iri, "action-line", labels[line.iri], ()) for line in lines])
    return Searcher(folder)


def write_vectors(folder: Path, entries: Sequence[SearchEntry], vectors: Vectors) -> VectorIndex:
    """Write *vectors*, a row for each of *entries*, as the publisher does, and open them."""
    database = VectorDatabase(folder / "work.duckdb")
    for first in range(0, len(entries), 1_000):
        rows = [
            (entry.thing, b"", embedded_text(entry)[1]) for entry in entries[first : first + 1_000]
        ]
        database.put(rows, vectors[first : first + 1_000], 1)
    (folder / "vectors").mkdir()
    database.write_files(folder / "vectors")
    database.close()
    return VectorIndex(folder / "vectors")


def gain(results: Sequence[str], relevant: set[str]) -> float:
    """Return nDCG at ``DEPTH``: https://doi.org/10.1145/582415.582418, each record relevant or not.

    >>> gain(["b", "a"], {"a"}), gain(["a"], {"a"}), gain([], {"a"})
    (0.6309297535714575, 1.0, 0.0)
    """
    ideal = sum(1 / log2(rank + 2) for rank in range(min(DEPTH, len(relevant))))
    return (
        sum(1 / log2(rank + 2) for rank, thing in enumerate(results[:DEPTH]) if thing in relevant)
        / ideal
    )


def quality(
    searcher: Searcher, folder: Path, topics: Mapping[str, str], queries: Mapping[str, str]
) -> tuple[float, float]:
    """Return the mean nDCG of *queries* by words and vectors together, and by words alone."""
    fused, words_alone = [], []
    for query, topic in queries.items():
        relevant = {thing for thing, code in topics.items() if code == topic}
        matches = searcher.matches(SearchRequest(query), _REACH)
        words_alone.append(gain(list(matches.scores), relevant))
        fused.append(gain(list(fuse(matches, near_things(str(folder), query)).scores), relevant))
    return sum(fused) / len(fused), sum(words_alone) / len(words_alone)


def quality_lines(records: int, rated: Rated) -> list[Line]:
    """Return nDCG by language with vectors and without, and the time of a text and a query."""
    entries, topics = generated_entries(records)
    with TemporaryDirectory() as name:
        folder = Path(name)
        since = time.process_time()
        vectors = embed([embedded_text(entry)[0] for entry in entries])
        seconds = (time.process_time() - since) / len(entries)
        write_vectors(folder, entries, vectors)
        searcher = write_index(folder / "text", entries)
        lines = []
        for language, queries in rated.items():
            ours, words_alone = quality(searcher, folder, topics, queries)
            ratio = ours / words_alone if words_alone else None
            aim = Aim("least", words_alone, "ours")
            note = f"{len(queries)} queries; peer: words alone"
            lines.append(Line(f"nDCG@10 {language}", "share", ours, words_alone, ratio, aim, note))
        lines.append(Line("embed a text", "s of one core", seconds, note=f"{records:,} texts"))
    return lines


def time_lines(records: int, rated: Rated) -> list[Line]:
    """Return how long a search of *records* takes, words and vectors, with queries that no cache
    knows, and the memory.
    """
    entries, _ = generated_entries(records)
    random = np.random.default_rng(_SEED)
    with TemporaryDirectory() as name:
        folder = Path(name)
        seeds = embed([embedded_text(entry)[0] for entry in entries[:500]])
        # other texts cost the same to search
        vectors = np.empty((records, WIDTH), dtype=np.float32)
        for row in range(records):
            vectors[row] = seeds[row % len(seeds)] + random.normal(0, 0.02, WIDTH)
        index = write_vectors(folder, entries, vectors)
        searcher = write_index(folder / "text", entries)
        del entries, vectors
        before = getrusage(RUSAGE_SELF).ru_maxrss
        times, own, processor, words_alone = [], [], [], []
        for query in (query for queries in rated.values() for query in queries):
            since, used = time.perf_counter(), time.process_time()
            matches = searcher.matches(SearchRequest(query), _REACH)
            middle, used_by_words = time.perf_counter(), time.process_time() - used
            fuse(matches, index.nearest(embed_query(query)))
            processor.append(time.process_time() - used)
            times.append(time.perf_counter() - since)
            own.append(time.perf_counter() - middle)
            words_alone.append(used_by_words)
    note = f"{records:,} records, {len(times)} queries"
    return [
        Line(
            "search, 95 % of queries",
            "s",
            float(np.percentile(times, 95)),
            None,
            None,
            Aim("most", 0.1, "ours"),
            note,
        ),
        Line(
            "of it processor time, 95 %",
            "s",
            float(np.percentile(processor, 95)),
            note="what a machine at rest takes at most",
        ),
        Line("processor time of the words, 95 %", "s", float(np.percentile(words_alone, 95))),
        Line(
            "of it by meaning, 95 %",
            "s",
            float(np.percentile(own, 95)),
            note="embed the query, find and fuse",
        ),
        Line("of it by meaning, median", "s", float(np.median(own))),
        Line(
            "memory of the searches",
            "MB",
            (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024,
            note="growth of the largest resident set",
        ),
    ]


def main(
    records: Annotated[int, typer.Option(min=200, help="Records for quality.")] = 1_000,
    many: Annotated[int, typer.Option(min=0, help="Records for time; 0: not measured.")] = 100_000,
    json: Json = False,
) -> None:
    """Measure searches by meaning."""
    rated = load_queries()
    show(
        "Search by meaning",
        [*quality_lines(records, rated), *(time_lines(many, rated) if many else [])],
        json=json,
    )


if __name__ == "__main__":
    typer.run(main)
