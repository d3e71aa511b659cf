"""Write the rows of things into the facet tables, from the statements about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from publisher.projections.facets.database import Database
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.properties import (
    ORGANIZATION_PROPERTIES,
    WITHOUT_TEXTS,
    record_properties,
)
from publisher.projections.search.document_source import parse_thing_iri
from publisher.projections.statement_source import StatementSource
from vocab.iris import KINDS, Iris
from vocab.terms import ORG, PROV, RDF

BATCH = 10_000  # graphs or organizations between two checks of the time: about 0.7 s
FLUSH_INTERVAL = 10  # batches between flushes of new tables to disk

_MEMBER = f"{PROV}hadMember"


class FacetRows:
    """The rows of the things in *source*."""

    def __init__(self, source: StatementSource, iris: Iris) -> None:
        self._source, self._iris = source, iris
        self._properties = record_properties(iris)

    def insert_all(self, database: Database) -> Iterator[None]:
        """Insert the rows of all things into an empty *database*; yield between batches."""
        records = self._source.graph_names(f"{self._iris.base}record/")
        organizations = self._source.subjects_with([f"{RDF}type"], [f"{ORG}Organization"])
        number = 0
        for names, insert in ((records, self._records), (organizations, self._organizations)):
            for batch in _batches(names):
                insert(database, batch, ())
                number += 1
                if number % FLUSH_INTERVAL == 0:
                    database.flush()
                yield

    def replace(self, database: Database, changed: Collection[str]) -> None:
        """Replace the rows of the things and records *changed*, IRIs with or without a fragment."""
        records, organizations = _records_and_organizations(changed, self._iris)
        if organizations:
            self._organizations(database, organizations, organizations)
        if records:
            stem = f"{self._iris.base}record/"
            # a thing may have another kind now
            things = [
                f"{self._iris.base}id/{kind}/{record.removeprefix(stem)}"
                for record in records
                for kind in KINDS
                if kind != "organization"
            ]
            self._records(database, records, things)

    def _records(
        self, database: Database, names: Collection[str], replaced: Collection[str]
    ) -> None:
        self._source.write_graphs(names, self._properties, database.files, WITHOUT_TEXTS)
        database.replace_records(replaced)

    def _organizations(
        self, database: Database, names: Collection[str], replaced: Collection[str]
    ) -> None:
        self._source.write_subjects(names, ORGANIZATION_PROPERTIES, database.files, WITHOUT_TEXTS)
        database.replace_organizations(replaced)

    def set_relations(self, database: Database) -> None:
        """Store the regions of areas and the clusters of things."""
        stem = self._iris.scheme("itu-region") + "/"
        country, region = FACETS["country"], FACETS["region"]
        database.set_regions(
            {
                (country.code(one, self._iris), region.code(two, self._iris))
                for one, two in self._pairs(f"{self._iris.ns}ituRegion")
                if two.startswith(stem)
            }
        )
        database.set_clusters(
            {
                (member, cluster)
                for cluster, member in self._pairs(_MEMBER)
                if cluster.startswith(self._iris.clusters)
            }
        )

    def _pairs(self, predicate: str) -> Iterator[tuple[str, str]]:
        """Yield all subjects of a property, each with its objects that are IRIs."""
        subjects = self._source.subjects(list(self._source.subjects_with([predicate])), [predicate])
        for name, properties in subjects.items():
            yield from ((name, value.text) for value in properties.get(predicate, ()) if value.iri)


def _records_and_organizations(changed: Collection[str], iris: Iris) -> tuple[set[str], set[str]]:
    """Return the records and the organizations among the IRIs that an entry changed."""
    records, organizations = set(), set()
    for iri in changed:
        name = iri.partition("#")[0]
        parsed = parse_thing_iri(name, iris.base)
        if parsed and parsed[0] == "organization":
            organizations.add(name)
        elif parsed:
            records.add(f"{iris.base}record/{parsed[1]}/{parsed[2]}")
        elif name.startswith(f"{iris.base}record/"):
            records.add(name)
    return records, organizations


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(names, BATCH)):
        yield batch
