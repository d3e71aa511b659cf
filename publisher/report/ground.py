"""Ground: what a report stands on: a release's tables, made from its store, and the official links of its matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from pyoxigraph import Literal, NamedNode, QuerySolutions, Store

from journal.log import Journal
from publisher.errors import NoRelease, ReportError
from publisher.portal.matrix import Links
from publisher.queries import query
from publisher.releases.release import Release, newest, one
from publisher.releases.shelving import make, shelved
from publisher.tables.counting import Tables
from publisher.tables.facets import FACETS
from publisher.tables.follow import Following
from vocab.iris import Iris

_LOOK = 60.0  # seconds of work on the tables at once


@dataclass(frozen=True, slots=True)
class Ground:
    """A release, its tables, the official links by action line and goal, and the day of each registry's last change until then."""

    release: Release
    tables: Tables
    links: Links
    changed: Mapping[str, str]


def release_of(data: Path, number: int | None) -> Release:
    """Give release *number*, the newest where none is named; raises ReportError and NoRelease."""
    found = one(data / "releases", number) if number else newest(data / "releases")
    if found is None and number:
        raise NoRelease(f"there is no release {number}; `stocktake release` cuts one")
    if found is None:
        raise ReportError("a report is made of a release, and none was cut yet: `stocktake release` cuts one")
    if found.withdrawn:
        raise ReportError(f"the files of release {found.number} are no longer kept; name a newer one")
    return found


@contextmanager
def ground(data: Path, it: Release, iris: Iris) -> Iterator[Ground]:
    """Make the tables of a release, as long as the context lasts."""
    generation = shelved(data, it)
    if generation is None:
        make(data, it)
        generation = shelved(data, it)
    if generation is None:
        raise ReportError(f"release {it.number} could not be put on the shelf; is there room below {data}?")
    store, journal = Store.read_only(str(Path(generation.path) / "store")), Journal(data / "journal")
    with TemporaryDirectory(prefix="stocktake-report-") as folder:
        following = Following(Path(folder), journal, iris.base)
        try:
            while not following.step(store, it.position, it.entry, _LOOK):
                if following.mark >= it.position:
                    raise ReportError("the tables of the release could not be made; the log tells why")
            yield Ground(it, Tables(following.shown / "tables.duckdb", it.position), _links(store, iris), _changed(journal, it.position))
        finally:
            following.close()


def _changed(journal: Journal, position: int) -> dict[str, str]:
    entries = takewhile(lambda entry: entry.number <= position, journal.entries())
    return {entry.run.rpartition(".")[0]: f"{entry.time:%Y-%m-%d}" for entry in entries}


def _links(store: Store, iris: Iris) -> Links:
    found = store.query(query("matrix-links").replace("<ns#>", f"<{iris.ns}>"), base_iri=iris.base)
    assert isinstance(found, QuerySolutions)
    line, goal = FACETS["line"], FACETS["goal"]
    return {
        (line.code(_text(row["line"]), iris), goal.code(_text(row["goal"]), iris)): _text(row["status"]).rpartition("#")[2]
        for row in found
    }


def _text(term: object) -> str:
    return term.value if isinstance(term, NamedNode | Literal) else ""
