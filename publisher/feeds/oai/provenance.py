"""Write the provenance container of a record that was harvested from another OAI-PMH repository.

Source: https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
"""

from __future__ import annotations

from collections.abc import Mapping

from publisher.feeds.xml_writing import element
from publisher.history.record_states import RecordState
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import DCT

_NS = "http://www.openarchives.org/OAI/2.0/provenance"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_BEGIN = (
    f'<about><provenance xmlns="{_NS}" xmlns:xsi="{_XSI}" xsi:schemaLocation="{_NS} {_NS}.xsd">'
)
# The namespace of the metadata that each mapping reads. Other mappings read metadata of any.
_NAMESPACES = {
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "datacite": "http://datacite.org/schema/kernel-4",
    "mods": "http://www.loc.gov/mods/v3",
    "dcat": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}


async def read_repositories(service: QueryService) -> dict[str, str]:
    """Return the base URL of each OAI-PMH repository that is harvested, by the IRI of its source."""
    rows: list[Row] = await service.rows(query("oai-repositories"))
    return {row["source"].value: row["url"].value for row in rows}


def write_about(state: RecordState, repositories: Mapping[str, str], iris: Iris) -> str:
    """Return the ``<about>`` of a record; empty if it was not harvested by OAI-PMH, or if its
    datestamp or format is not published.

    It has one level: the repository at which it was harvested. Those before it are in the record,
    without the dates that a level needs.
    """
    source = iris.source(state.graph.removeprefix(iris.record("", "")[:-1]).partition("/")[0])
    names = (f"{DCT}identifier", f"{DCT}date", f"{DCT}modified", f"{iris.operations}mapping")
    identifier, datestamp, harvested, mapping = (state.one(name, state.graph) for name in names)
    if not (
        identifier
        and datestamp
        and harvested
        and mapping
        and source in repositories
        and mapping.value in _NAMESPACES
    ):
        return ""
    parts = (
        element("baseURL", repositories[source]),
        element("identifier", identifier.value),
        element("datestamp", datestamp.value),
        element("metadataNamespace", _NAMESPACES[mapping.value]),
    )
    origin = f'<originDescription harvestDate="{harvested.value}" altered="true">{"".join(parts)}</originDescription>'
    return f"{_BEGIN}{origin}</provenance></about>"
