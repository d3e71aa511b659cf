"""Write the tables of things by which pages count, from the quads in the same file.

The things that a transaction has touched are read again, so that applying an entry twice changes
nothing. What depends on several things (clusters, regions, types of organizations) is compared with
what is stored, so that only differences are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from publisher.projections.facets.facets import areas_within, read_sql
from publisher.projections.facets.properties import (
    ORGANIZATION_PROPERTIES,
    WITHOUT_TEXTS,
    coded_properties,
    record_properties,
)
from publisher.store.columns.terms import term_id
from vocab.countries import AREA
from vocab.iris import KINDS, Iris
from vocab.terms import ORG, PROV

BATCH = 10_000  # graphs or organizations that are read at once: about 0.7 s


class FacetTables:
    """The tables in the file of *connection*, of things whose IRIs are *iris*."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, iris: Iris) -> None:
        self._connection, self._iris = connection, iris

    def begin(self) -> None:
        """Prepare for a transaction, which fills the table ``touched (g, s)``."""
        self._run(read_sql("temporary"))
        for name, value in (
            ("base", self._iris.base),
            ("organization", f"{ORG}Organization"),
            ("country", AREA),
            ("region", f"{self._iris.scheme('itu-region')}/"),
            ("in_region", term_id(f"<{self._iris.ns}ituRegion>")),
            ("has_member", term_id(f"<{PROV}hadMember>")),
            ("clusters", self._iris.clusters),
        ):
            self._run(f"SET VARIABLE {name} = $value", value=value)
        named = [
            (term_id(f"<{iri}>"), name, of_organizations, name not in WITHOUT_TEXTS)
            for of_organizations, properties in (
                (False, record_properties(self._iris)),
                (True, ORGANIZATION_PROPERTIES),
            )
            for name, iri in properties.items()
        ]
        areas = [(area, code) for code, within in areas_within().items() for area in sorted(within)]
        for table, rows in (
            ("kinds", list(enumerate(KINDS, 1))),
            ("names", named),
            ("coded", coded_properties(self._iris)),
            ("areas", areas),
        ):
            self._insert(table, rows)

    @property
    def marks(self) -> int:
        """Return the number of marks that were written."""
        query = "SELECT count(*) FROM marks SEMI JOIN changed USING (thing)"
        ((number,),) = self._run(query).fetchall()
        return int(number)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        columns = {
            f"c{place}": np.array(values, dtype=object)
            for place, values in enumerate(zip(*rows, strict=True))
        }
        self._connection.register("arrived", columns)
        self._connection.execute(f"INSERT INTO {table} FROM arrived")
        self._connection.unregister("arrived")

    def update(self) -> Iterator[None]:
        """Read the touched things again; yield between batches."""
        self._run(read_sql("due"))
        for is_organization, kind in ((True, "organization"), (False, "record")):
            ((count,),) = self._run(
                "SELECT count(*) FROM due WHERE is_organization = $kind", kind=is_organization
            ).fetchall()
            for start in range(0, count, BATCH):
                self._run(
                    """CREATE OR REPLACE TEMP TABLE batch AS SELECT id, iri FROM due
                    WHERE is_organization = $kind AND n > $start AND n <= $end""",
                    kind=is_organization,
                    start=start,
                    end=start + BATCH,
                )
                for name in (f"{kind}-statements", "texts", f"{kind}-topics", "delete", "insert"):
                    self._run(read_sql(name))
                yield
        self._relate()

    def _relate(self) -> None:
        """Store what depends on several things."""
        self._run(read_sql("relations"))
        self._run(read_sql("derive"))
        self._replace("containers", "area, facet, code")
        self._replace("clusters", "iri, cluster")
        self._run(read_sql("groups"))
        self._replace("groups", "thing, cluster")

    def _replace(self, table: str, columns: str) -> None:
        """Replace the rows of *table* by those of the temporary one; write only what differs."""
        self._run(
            f"""DELETE FROM {table} WHERE ({columns}) IN (FROM {table} EXCEPT FROM {table}_now);
            INSERT INTO {table} (FROM {table}_now EXCEPT FROM {table})"""
        )

    def _run(self, text: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(text, parameters)
