"""Tabled: the tables of a release, from which its report counts: from rows that were gathered while it was cut, or from its N-Quads.

No store is opened: what is there is made by streams in flat memory. Done again after a crash, it ends what was begun.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from publisher.facets.bitmap_build import build_bitmaps
from publisher.facets.database import BUILD_VERSION, Database
from publisher.facets.record_rows import parse_graph, parse_record
from publisher.rdf.gzip_files import gzip_lines
from publisher.releases.export_passes import group_by_graph, stream_in_chunks, with_graph_first
from publisher.releases.facet_rows import FacetRowWriter, read_auxiliary_data, row_files
from publisher.releases.sorting import Sorter
from publisher.store.releases.manifest import Release
from vocab.iris import Iris

MEMORY = "192MiB"  # what DuckDB may hold; more of it waits beside
_ABOUT = "about.json"


class ReleaseTables(NamedTuple):
    """The file of a release's tables, and the status of each official link by action line and goal."""

    file: Path
    links: Mapping[tuple[str, str], str]


def rows_folder(data: Path, number: int) -> Path:
    """Give where the rows of a release wait until its tables are made."""
    return data / "store" / "releases" / f"{number}.rows"


def tables_folder(data: Path, number: int) -> Path:
    """Give where the tables of a release are kept."""
    return data / "store" / "releases" / f"{number}.tables"


def store_rows(held: Path, data: Path, it: Release) -> None:
    """Take rows that were gathered in the folder *held* while release *it* was cut."""
    (held / _ABOUT).write_text(json.dumps(_metadata(it)))
    _publish(held, rows_folder(data, it.number))


def open_release_tables(data: Path, it: Release, iris: Iris) -> ReleaseTables:
    """Give the tables of a release; made where they are not there yet, or were made of another journal or by another form of ours."""
    folder = tables_folder(data, it.number)
    if not _is_current(folder, it):
        _build(data, it, iris, folder)
    links = {(line, goal): status for line, goal, status in read_auxiliary_data(folder).links}
    return ReleaseTables(folder / "tables.duckdb", links)


def _build(data: Path, it: Release, iris: Iris, folder: Path) -> None:
    waiting = rows_folder(data, it.number)
    if not _is_current(waiting, it):
        _extract_rows(data, it, iris, waiting)
    part = _part_folder(folder)
    told = read_auxiliary_data(waiting)
    database = Database(part / "tables.duckdb", MEMORY)
    try:
        database.begin()
        for file in row_files(waiting):
            database.load(file, told.longest)
        database.set_regions(set(told.regions))
        database.commit(it.position, it.entry)
    finally:
        database.close()
    build_bitmaps(part / "tables.duckdb", MEMORY)
    (part / "beside.json").write_text(json.dumps(told))
    (part / _ABOUT).write_text(json.dumps(_metadata(it)))
    _publish(part, folder)
    shutil.rmtree(waiting, ignore_errors=True)


def _extract_rows(data: Path, it: Release, iris: Iris, folder: Path) -> None:
    """Gather the rows from the release's own N-Quads."""
    part = _part_folder(folder)
    lines = gzip_lines(data / "releases" / str(it.number) / f"stocktake-{it.number}.nq.gz")
    gathering, sorter = FacetRowWriter(part / "rows", iris), Sorter(part / "work")
    organizations = f"<{iris.base}id/organization/".encode()
    for subject, group in groupby(lines, key=lambda line: line[: line.index(b" ")]):
        for place, triples in enumerate(stream_in_chunks(group, lambda held: sorter.add(map(with_graph_first, held)))):
            if place == 0 and subject.startswith(organizations):
                gathering.organization(parse_graph(triples))
            elif place == 0:
                gathering.concept(subject, [triple.split(b" ", 2) for triple in triples])
    for graph, held in group_by_graph(sorter.sorted()):
        if graph.startswith(f"{iris.base}record/"):
            gathering.record(parse_record(graph, held, iris))
    gathering.close()
    store_rows(part / "rows", data, it)
    shutil.rmtree(part)


def _metadata(it: Release) -> dict[str, object]:
    return {"entry": it.entry, "position": it.position, "made": BUILD_VERSION}


def _is_current(folder: Path, it: Release) -> bool:
    try:
        return bool(json.loads((folder / _ABOUT).read_text()) == _metadata(it))
    except (FileNotFoundError, ValueError):
        return False


def _part_folder(folder: Path) -> Path:
    """Make a folder beside, and remove those that a crash left."""
    for left in folder.parent.glob(f".part-{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    part = folder.with_name(f".part-{folder.name}-{os.getpid()}")
    part.mkdir(parents=True)
    return part


def _publish(part: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
