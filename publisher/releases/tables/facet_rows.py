"""Collect the rows of the facet tables of a release while its quads are exported. Memory use is
constant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from publisher.projections.facets.database import serialize_row
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.record_rows import Graph, Record
from publisher.projections.facets.thing_rows import organization_row, thing_row
from publisher.rdf.gzip_files import gzip_writer
from vocab.iris import Iris
from vocab.terms import PROV

BATCH = 10_000  # rows per file: some 9 MB
_AUXILIARY_FILE = "beside.json"
_MEMBER = f"<{PROV}hadMember>".encode()


class AuxiliaryData(NamedTuple):
    """Data besides the rows: areas with their regions, and official links of action lines and goals
    with their status, all as codes.

    *clusters* are pairs of a member and its cluster, both IRIs. *longest* is the size of the
    longest row in bytes, at least a mebibyte.
    """

    regions: list[tuple[str, str]]
    links: list[tuple[str, str, str]]
    clusters: list[tuple[str, str]]
    longest: int = 1 << 20


class FacetRowWriter:
    """Collects organizations and concepts, then records, as files of rows in *folder*; ``close``
    completes them.
    """

    def __init__(self, folder: Path, iris: Iris) -> None:
        folder.mkdir(parents=True)
        self._folder, self._iris = folder, iris
        self._rows: list[bytes] = []
        self._files = 0
        self._auxiliary = AuxiliaryData([], [], [])
        self._longest = self._auxiliary.longest
        self._excluded_prefixes = tuple(
            f"<{iris.base}{name}/".encode() for name in ("id", "record", "run")
        )
        self._match, region = f"<{iris.ns}ituRegion>".encode(), iris.scheme("itu-region")
        self._region = f"<{region}/".encode()
        self._clusters = f"<{iris.clusters}".encode()
        self._link = [
            f"<{iris.ns}{name}>".encode() for name in ("linkLine", "linkGoal", "linkStatus")
        ]

    def organization(self, graph: Graph) -> None:
        """Add an organization with all its statements."""
        if row := organization_row(graph, next(iter(graph.properties)), self._iris):
            self._put(serialize_row(row))

    def concept(self, subject: bytes, parts: Sequence[Sequence[bytes]]) -> None:
        """Add regions, links and members of clusters from the statements of another subject, each
        as three terms.
        """
        if subject.startswith(self._excluded_prefixes):
            return
        values: dict[bytes, list[bytes]] = {}
        for _, predicate, term in parts:
            values.setdefault(predicate, []).append(term)
        for region in values.get(self._match, ()):
            if region.startswith(self._region):
                self._auxiliary.regions.append(
                    (self._code("country", subject), self._code("region", region))
                )
        if subject.startswith(self._clusters):
            self._auxiliary.clusters.extend(
                (term[1:-1].decode(), subject[1:-1].decode()) for term in values.get(_MEMBER, ())
            )
        for action_line, goal, status in product(*(values.get(name, ()) for name in self._link)):
            status_name = status[1:-1].decode().rpartition("#")[2]
            self._auxiliary.links.append(
                (self._code("line", action_line), self._code("goal", goal), status_name)
            )

    def _code(self, facet: str, term: bytes) -> str:
        return FACETS[facet].code(term[1:-1].decode(), self._iris)

    def record(self, record: Record) -> None:
        """Add a record."""
        if record.kind and record.kind != "organization" and record.state != "gone":
            self._put(serialize_row(thing_row(record)))

    def _put(self, row: bytes) -> None:
        self._rows.append(row)
        self._longest = max(self._longest, len(row))
        if len(self._rows) == BATCH:
            self._write()

    def _write(self) -> None:
        with gzip_writer(self._folder / f"{self._files:06}.ndjson.gz") as file:
            file.writelines(self._rows)
        self._files, self._rows = self._files + 1, []

    def close(self) -> None:
        """Write the remaining rows."""
        if self._rows:
            self._write()
        (self._folder / _AUXILIARY_FILE).write_text(
            json.dumps(self._auxiliary._replace(longest=self._longest))
        )


def row_files(folder: Path) -> list[Path]:
    """List the files of rows in *folder*."""
    return sorted(folder.glob("*.ndjson.gz"))


def read_auxiliary_data(folder: Path) -> AuxiliaryData:
    """Read the data besides the rows."""
    regions, links, clusters, longest = json.loads((folder / _AUXILIARY_FILE).read_text())
    return AuxiliaryData(
        [(area, region) for area, region in regions],
        [(one, goal, status) for one, goal, status in links],
        [(member, cluster) for member, cluster in clusters],
        longest,
    )
