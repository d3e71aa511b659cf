"""Open the data of a report: the tables of a release, and the official links of the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import duckdb

from journal.journal import Journal
from publisher.errors import ReleaseNotFound, ReportError
from publisher.portal.matrix import Links
from publisher.projections.facets.queries import FacetIndex
from publisher.releases.tables import open_release_tables
from publisher.store.releases.manifest import Release, get_release, newest_release
from vocab.iris import Iris


@dataclass(frozen=True, slots=True)
class ReportData:
    """A release, its tables, the official links by action line and goal, and the day of each
    registry's last change before it.
    """

    release: Release
    tables: FacetIndex
    links: Links
    changed: Mapping[str, str]


def find_release(data: Path, number: int | None) -> Release:
    """Return release *number*, the newest if it is None. Raises ReportError and ReleaseNotFound."""
    release = (
        get_release(data / "releases", number) if number else newest_release(data / "releases")
    )
    if release is None and number:
        raise ReleaseNotFound(f"there is no release {number}; `stocktake release` cuts one")
    if release is None:
        raise ReportError(
            "a report is made of a release, and none was cut yet: `stocktake release` cuts one"
        )
    if release.withdrawn:
        raise ReportError(
            f"the files of release {release.number} are no longer kept; name a newer one"
        )
    return release


@contextmanager
def open_report_data(data: Path, release: Release, iris: Iris) -> Iterator[ReportData]:
    """Open the tables of a release for the duration of the context; missing tables are built."""
    try:
        release_tables = open_release_tables(data, release, iris)
    except (duckdb.Error, OSError) as error:
        raise ReportError(
            f"the tables of release {release.number} could not be made: {error}; is there room below {data}?"
        ) from error
    tables = FacetIndex(release_tables.file)
    try:
        yield ReportData(
            release,
            tables,
            release_tables.links,
            _changed(Journal(data / "journal"), release.position),
        )
    finally:
        tables.close()


def _changed(journal: Journal, position: int) -> dict[str, str]:
    entries = takewhile(lambda entry: entry.number <= position, journal.entries())
    return {entry.run.rpartition(".")[0]: f"{entry.time:%Y-%m-%d}" for entry in entries}
