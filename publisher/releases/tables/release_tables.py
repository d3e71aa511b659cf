"""Build the facet tables of a release, which its report counts, from its columns.

After a crash, call it again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import NamedTuple

from publisher.projections.facets.bitmap_build import build_bitmaps
from publisher.projections.facets.database import BUILD_VERSION, Database
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.thing_rows import FacetRows
from publisher.projections.statement_source import StatementSource
from publisher.store.checksums import write_checksums
from publisher.store.releases.manifest import Release
from publisher.store.releases.release_stores import open_release_statements
from vocab.iris import Iris

MEMORY = "192MiB"  # limit of DuckDB; it writes more data to disk
_ABOUT = "about.json"
_LINKS = "links.json"


class ReleaseTables(NamedTuple):
    """The file of a release's tables, and the status of each official link by action line and goal."""

    file: Path
    links: Mapping[tuple[str, str], str]


def tables_folder(data: Path, number: int) -> Path:
    """Return the folder of the tables of a release."""
    return data / "store" / "releases" / f"{number}.tables"


def open_release_tables(data: Path, release: Release, iris: Iris) -> ReleaseTables:
    """Return the tables of a release; built first if they are missing, of another journal, or of
    another build version.
    """
    folder = tables_folder(data, release.number)
    if not _is_current(folder, release):
        _build(data, release, iris, folder)
    links = json.loads((folder / _LINKS).read_text())
    return ReleaseTables(
        folder / "tables.duckdb", {(line, goal): status for line, goal, status in links}
    )


def _build(data: Path, release: Release, iris: Iris, folder: Path) -> None:
    part = _part_folder(folder)
    with (
        open_release_statements(data, release, part / "columns") as statements,
        closing(Database(part / "tables.duckdb", iris, MEMORY)) as database,
    ):
        rows = FacetRows(statements, iris)
        database.begin()
        deque(rows.insert_all(database), 0)
        rows.set_relations(database)
        database.commit(release.position, release.entry)
        (part / _LINKS).write_text(json.dumps(_official_links(statements, iris)))
        database.files.rmdir()
    build_bitmaps(part / "tables.duckdb", MEMORY)
    (part / _ABOUT).write_text(json.dumps(_metadata(release)))
    write_checksums(part, None)
    _publish(part, folder)


def _official_links(source: StatementSource, iris: Iris) -> list[tuple[str, str, str]]:
    """Return the codes of linked action lines and goals, with the status of the link."""
    properties = [f"{iris.ns}{name}" for name in ("linkLine", "linkGoal", "linkStatus")]
    line, goal = FACETS["line"], FACETS["goal"]
    return sorted(
        (line.code(one.text, iris), goal.code(two.text, iris), status.text.rpartition("#")[2])
        for values in source.subjects(list(source.subjects_with(properties)), properties).values()
        for one, two, status in product(*(values.get(name, ()) for name in properties))
    )


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
