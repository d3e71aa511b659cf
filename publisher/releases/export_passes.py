"""Export the quads of the journal in two passes: by subject for the RDF files, by graph for the
tables. Memory use is constant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from publisher.rdf.gzip_files import gzip_writer
from publisher.rdf.ntriples_terms import Value, parse_term, split_triple
from publisher.releases.deletions import deletion_rows
from publisher.releases.sorting import Sorter
from publisher.releases.tables.files import TableWriter
from publisher.releases.tables.record_rows import (
    Row,
    organization_row,
    parse_graph,
    parse_record,
    record_rows,
)
from publisher.releases.void import VoidCounter
from publisher.releases.writers import TEXT_FORMATS, Parts, TextFormat, Triples, triple
from publisher.store.releases.manifest import ReleaseSource
from vocab.iris import Iris
from vocab.terms import DCAT, DCT, PROV, RDF

_CHUNK = 5_000  # quads of one subject in memory at once; only registries have more


@dataclass(slots=True)
class ExportCounts:
    """Counts of the export: *records* by state, *things* by kind; *counting* are those for VoID."""

    counting: VoidCounter
    statements: int = 0
    triples: int = 0
    graphs: int = 0
    records: Counter[str] = field(default_factory=Counter)
    things: Counter[str] = field(default_factory=Counter)
    sources: list[ReleaseSource] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the counts for the manifest."""
        existing = self.records["published"] + self.records["vanished"]
        totals = {
            "statements": self.statements,
            "triples": self.triples,
            "graphs": self.graphs,
            "records": existing,
        }
        return (
            totals
            | {"vanished": self.records["vanished"], "gone": self.records["gone"]}
            | dict(sorted(self.things.items()))
        )


class ExportWriters(NamedTuple):
    """The outputs of the passes: rows of the tables, and the quads for the second pass."""

    tables: TableWriter
    sorter: Sorter


def export_by_subject(
    lines: Iterable[bytes],
    folder: Path,
    name: str,
    iris: Iris,
    writers: ExportWriters,
    counts: ExportCounts,
) -> None:
    """Write N-Quads, the triples in every format, and the organizations into *folder* as *name*;
    pass all quads to the sorter.
    """
    organizations = f"<{iris.base}id/organization/".encode()
    with ExitStack() as opened:
        quads = opened.enter_context(gzip_writer(folder / f"{name}.nq.gz"))
        texts = [
            _FormatWriter(
                form, opened.enter_context(gzip_writer(folder / f"{name}.{end}.gz")), iris.base
            )
            for end, form in TEXT_FORMATS.items()
        ]

        def take(chunk: list[bytes]) -> None:
            quads.writelines(chunk)
            writers.sorter.add(map(_with_graph_first, chunk))
            counts.statements += len(chunk)

        for subject, group in groupby(lines, key=lambda line: line[: line.index(b" ")]):
            for index, triples in enumerate(stream_in_chunks(group, take)):
                counts.triples += len(triples)
                parts = [triple.split(b" ", 2) for triple in triples]
                counts.counting.put(subject, parts, again=index > 0)
                for text in texts:
                    text.put(triples, parts)
                is_organization = index == 0 and subject.startswith(organizations)
                if is_organization and (row := organization_row(parse_graph(triples), iris)):
                    writers.tables.put("organizations", row)
        for text in texts:
            text.end()


def stream_in_chunks(
    lines: Iterable[bytes], take: Callable[[list[bytes]], None], chunk_size: int = _CHUNK
) -> Iterator[list[bytes]]:
    """Pass the quads of one subject to *take* in chunks; yield its triples, each once, in chunks of
    about *chunk_size*.

    Most subjects fit in one chunk, even if thousands of graphs repeat their triples; a registry
    does not: it lists all its records.
    """
    rest, before, triples = iter(lines), b"", list[bytes]()
    while chunk := list(islice(rest, chunk_size)):
        take(chunk)
        unique = list(dict.fromkeys(map(triple, chunk)))
        triples += unique[1:] if unique[0] == before else unique
        before = unique[-1]
        if len(triples) >= chunk_size:
            yield triples
            triples = []
    if triples:
        yield triples


def _with_graph_first(line: bytes) -> bytes:
    """Return the line with the graph in front of the triple, separated by a tab, which no term
    contains.
    """
    index = line.rindex(b" <")
    return line[index + 1 : -3] + b"\t" + line[:index] + b"\n"


class _FormatWriter:
    """Writes a file in one RDF format."""

    def __init__(self, form: TextFormat, file: BinaryIO, base: str) -> None:
        self._form, self._file, self._has_subjects = form, file, False
        file.write(form.head(base))

    def put(self, triples: Triples, parts: Parts) -> None:
        """Write the triples of a subject."""
        text = self._form.subject(triples, parts)
        self._file.write(self._form.between + text if self._has_subjects else text)
        self._has_subjects = True

    def end(self) -> None:
        """Write the end of the document."""
        self._file.write(self._form.tail)


def export_by_graph(gone: Path, iris: Iris, writers: ExportWriters, counts: ExportCounts) -> None:
    """Write the rows of the tables and the list of deleted records from the quads that
    export_by_subject sorted.
    """
    with gzip_writer(gone) as deleted:
        deleted.writelines(islice(deletion_rows([]), 1))
        for graph, triples in _group_by_graph(writers.sorter.sorted()):
            counts.graphs += 1
            if graph.startswith(f"{iris.base}record/"):
                _record(graph, triples, iris, writers, counts, deleted)
            elif graph.startswith(f"{iris.base}source/"):
                counts.sources += _source(graph, triples, iris)
            elif graph.startswith(iris.clusters):
                for row in _merged(graph, triples, iris):
                    writers.tables.put("merged", row)


def _group_by_graph(lines: Iterable[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each graph with its triples."""
    for graph, group in groupby(lines, key=lambda line: line[: line.index(b"\t")]):
        yield graph[1:-1].decode(), [line[len(graph) + 1 : -1] for line in group]


def _record(
    graph: str,
    triples: list[bytes],
    iris: Iris,
    writers: ExportWriters,
    counts: ExportCounts,
    deleted: BinaryIO,
) -> None:
    record = parse_record(graph, triples, iris)
    counts.records[record.state] += 1
    if record.state == "gone":
        end = f" <{graph}> .\n".encode()
        deleted.writelines(islice(deletion_rows(line + end for line in triples), 1, None))
    elif record.kind:
        counts.things[record.kind] += 1
    for table, row in record_rows(record):
        writers.tables.put(table, row)


def _merged(graph: str, triples: list[bytes], iris: Iris) -> Iterator[Row]:
    """Yield the members of a cluster."""
    for subject, predicate, term in map(split_triple, triples):
        if subject[1:-1].decode() == graph and predicate == f"<{PROV}hadMember>".encode():
            thing = parse_term(term).text
            kind, source, _ = thing.removeprefix(f"{iris.base}id/").split("/", 2)
            yield {"thing": thing, "kind": kind, "source": source, "cluster": graph}


def _source(graph: str, triples: list[bytes], iris: Iris) -> Iterator[ReleaseSource]:
    """Yield the registry that the graph of a catalog describes."""
    values: dict[str, Value] = {}
    for subject, predicate, term in map(split_triple, triples):
        if subject[1:-1].decode() == graph:
            values.setdefault(predicate[1:-1].decode(), parse_term(term))
    if f"{RDF}type" in values and values[f"{RDF}type"].text == f"{DCAT}Catalog":
        title, publisher, licence = (
            values.get(f"{DCT}{name}", Value("")).text for name in ("title", "publisher", "license")
        )
        name = graph.removeprefix(f"{iris.base}source/")
        yield ReleaseSource(name, title or name, publisher, licence)
