"""The tables of things of a release, which its report counts: they are in the columns of its store."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

from publisher.projections.facets.facets import FACETS
from publisher.store.columns.updater import FILE, ColumnStatements, open_statements
from publisher.store.releases.manifest import Release
from publisher.store.releases.release_stores import (
    COLUMNS,
    create_store,
    find_store,
    store_folder,
)
from vocab.iris import Iris


class ReleaseTables(NamedTuple):
    """The file of a release's tables, and the status of each official link by action line and goal."""

    file: Path
    links: Mapping[tuple[str, str], str]


def open_release_tables(data: Path, release: Release, iris: Iris) -> ReleaseTables:
    """Return the tables of a release; its store is built first if it is missing."""
    if find_store(data, release) is None:
        create_store(data, release, iris)
    file = store_folder(data, release.number) / COLUMNS / FILE
    with open_statements(file) as statements:
        return ReleaseTables(file, _official_links(statements, iris))


def _official_links(source: ColumnStatements, iris: Iris) -> dict[tuple[str, str], str]:
    """Return the status of each link by the codes of its action line and goal."""
    properties = [f"{iris.ns}{name}" for name in ("linkLine", "linkGoal", "linkStatus")]
    line, goal = FACETS["line"], FACETS["goal"]
    return dict(
        sorted(
            ((line.code(one.text, iris), goal.code(two.text, iris)), status.text.rpartition("#")[2])
            for values in source.subjects(
                list(source.subjects_with(properties)), properties
            ).values()
            for one, two, status in product(*(values.get(name, ()) for name in properties))
        )
    )
