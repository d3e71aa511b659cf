"""Build the tables of a release, which its report counts, from rows collected during the build or
from its N-Quads.

No store is opened: the data is streamed in constant memory. After a crash, call it again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from publisher.projections.facets.bitmap_build import build_bitmaps
from publisher.projections.facets.database import BUILD_VERSION, Database
from publisher.projections.facets.record_rows import parse_graph, parse_record
from publisher.rdf.gzip_files import gzip_lines
from publisher.releases.export_passes import group_by_graph, stream_in_chunks, with_graph_first
from publisher.releases.sorting import Sorter
from publisher.releases.tables.facet_rows import FacetRowWriter, read_auxiliary_data, row_files
from publisher.store.checksums import write_checksums
from publisher.store.releases.manifest import Release
from vocab.iris import Iris

MEMORY = "192MiB"  # limit of DuckDB; it writes more data to disk
_ABOUT = "about.json"


class ReleaseTables(NamedTuple):
    """The file of a release's tables, and the status of each official link by action line and goal."""

    file: Path
    links: Mapping[tuple[str, str], str]


def rows_folder(data: Path, number: int) -> Path:
    """Return the folder of the rows from which the tables of a release are built."""
    return data / "store" / "releases" / f"{number}.rows"


def tables_folder(data: Path, number: int) -> Path:
    """Return the folder of the tables of a release."""
    return data / "store" / "releases" / f"{number}.tables"


def store_rows(folder: Path, data: Path, release: Release) -> None:
    """Store the rows that were collected in *folder* while *release* was built."""
    (folder / _ABOUT).write_text(json.dumps(_metadata(release)))
    _publish(folder, rows_folder(data, release.number))


def open_release_tables(data: Path, release: Release, iris: Iris) -> ReleaseTables:
    """Return the tables of a release; built first if they are missing, of another journal, or of
    another build version.
    """
    folder = tables_folder(data, release.number)
    if not _is_current(folder, release):
        _build(data, release, iris, folder)
    links = {(line, goal): status for line, goal, status in read_auxiliary_data(folder).links}
    return ReleaseTables(folder / "tables.duckdb", links)


def _build(data: Path, release: Release, iris: Iris, folder: Path) -> None:
    collected = rows_folder(data, release.number)
    if not _is_current(collected, release):
        _extract_rows(data, release, iris, collected)
    part = _part_folder(folder)
    auxiliary = read_auxiliary_data(collected)
    database = Database(part / "tables.duckdb", MEMORY)
    try:
        database.begin()
        for file in row_files(collected):
            database.load(file, auxiliary.longest)
        database.set_regions(set(auxiliary.regions))
        database.set_clusters(set(auxiliary.clusters))
        database.commit(release.position, release.entry)
    finally:
        database.close()
    build_bitmaps(part / "tables.duckdb", MEMORY)
    (part / "beside.json").write_text(json.dumps(auxiliary))
    (part / _ABOUT).write_text(json.dumps(_metadata(release)))
    write_checksums(part, None)
    _publish(part, folder)
    shutil.rmtree(collected, ignore_errors=True)


def _extract_rows(data: Path, release: Release, iris: Iris, folder: Path) -> None:
    """Collect the rows from the N-Quads of the release."""
    part = _part_folder(folder)
    lines = gzip_lines(
        data / "releases" / str(release.number) / f"stocktake-{release.number}.nq.gz"
    )
    writer, sorter = FacetRowWriter(part / "rows", iris), Sorter(part / "work")
    organizations = f"<{iris.base}id/organization/".encode()
    for subject, group in groupby(lines, key=lambda line: line[: line.index(b" ")]):
        for index, triples in enumerate(
            stream_in_chunks(group, lambda chunk: sorter.add(map(with_graph_first, chunk)))
        ):
            if index == 0 and subject.startswith(organizations):
                writer.organization(parse_graph(triples))
            elif index == 0:
                writer.concept(subject, [triple.split(b" ", 2) for triple in triples])
    for graph, triples in group_by_graph(sorter.sorted()):
        if graph.startswith(f"{iris.base}record/"):
            writer.record(parse_record(graph, triples, iris))
    writer.close()
    store_rows(part / "rows", data, release)
    shutil.rmtree(part)


def _metadata(release: Release) -> dict[str, object]:
    return {"entry": release.entry, "position": release.position, "made": BUILD_VERSION}


def _is_current(folder: Path, release: Release) -> bool:
    try:
        return bool(json.loads((folder / _ABOUT).read_text()) == _metadata(release))
    except (FileNotFoundError, ValueError):
        return False


def _part_folder(folder: Path) -> Path:
    """Create a temporary folder, and remove those that a crash left."""
    for leftover in folder.parent.glob(f".part-{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    part = folder.with_name(f".part-{folder.name}-{os.getpid()}")
    part.mkdir(parents=True)
    return part


def _publish(part: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
