"""The metadata formats of OAI-PMH: Dublin Core, DataCite's metadata schema 4.5 (also in the envelope
of DataCite's own provider) and all statements as RDF/XML; and the origin of records that were
harvested from another repository.

Sources: http://www.openarchives.org/OAI/2.0/oai_dc.xsd,
https://schema.datacite.org/meta/kernel-4.5/,
https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from markupsafe import Markup
from pyoxigraph import NamedNode, RdfFormat, Triple, serialize

from publisher.feeds.records import ChangedRecord
from publisher.feeds.xml import macro
from publisher.rdf.results import PREFIXES, replace_invalid_characters, to_node
from vocab.terms import DCT

# resourceTypeGeneral has no word for a project before 4.6.
_GENERAL_TYPES = {"initiative": "Other", "event": "Event", "document": "Text", "post": "Text"}
_YEAR = re.compile(r"\d{4}", re.ASCII)


class MetadataFormat(NamedTuple):
    """A metadata format: its schema and namespace, and the function that writes a record."""

    schema: str
    namespace: str
    write: Callable[[ChangedRecord], Markup]


def _dublin_core(record: ChangedRecord) -> Markup:
    return macro("oai_dc.xml", "metadata")(record)


def _datacite(record: ChangedRecord, *, is_wrapped: bool) -> Markup:
    """Missing mandatory properties have DataCite's code for unavailable values (appendix 3); the
    year of publication is the nearest year that is known.
    """
    dates = [record.first(name) for name in ("issued", "start", "modified")]
    years = [match[0] for date in dates if date and (match := _YEAR.match(date))]
    general_type = _GENERAL_TYPES.get(record.change.kind, "Other")
    write = macro("datacite.xml", "metadata")
    return write(record, is_wrapped, next(iter(years), "0000"), general_type)


def _rdf(record: ChangedRecord) -> Markup:
    """Write all statements of the record's graph."""
    statements = sorted(
        record.state.statements, key=lambda item: (*item[:2], item[2].value, item[2].language or "")
    )
    data = serialize(
        (Triple(NamedNode(s), NamedNode(p), to_node(o)) for s, p, o in statements),
        format=RdfFormat.RDF_XML,
        prefixes={**PREFIXES, "wsis": record.iris.ns, "ops": record.iris.operations},
    )
    text = replace_invalid_characters(data or b"").decode()
    return Markup(text.partition("?>")[2].lstrip())


FORMATS = {
    "oai_dc": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
        "http://www.openarchives.org/OAI/2.0/oai_dc/",
        _dublin_core,
    ),
    "datacite": MetadataFormat(
        "http://schema.datacite.org/meta/kernel-4.5/metadata.xsd",
        "http://datacite.org/schema/kernel-4",
        partial(_datacite, is_wrapped=False),
    ),
    "oai_datacite": MetadataFormat(
        "http://schema.datacite.org/oai/oai-1.1/oai.xsd",
        "http://schema.datacite.org/oai/oai-1.1/",
        partial(_datacite, is_wrapped=True),
    ),
    "rdf": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/rdf.xsd",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        _rdf,
    ),
}
# The namespace of the metadata that each mapping reads. Other mappings read metadata of any.
_NAMESPACES = {
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "datacite": "http://datacite.org/schema/kernel-4",
    "mods": "http://www.loc.gov/mods/v3",
    "dcat": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}


def describe_origin(
    record: ChangedRecord, repositories: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the origin of a record that was harvested from one of *repositories* (base URLs by the
    IRI of the source), None if it was not, or if its datestamp or format is not published.

    It has one level: the repository at which it was harvested. Those before it are in the record,
    without the dates that a level needs.
    """
    names = {
        "identifier": f"{DCT}identifier",
        "datestamp": f"{DCT}date",
        "harvested": f"{DCT}modified",
        "mapping": f"{record.iris.operations}mapping",
    }
    terms = {key: record.state.one(name, record.state.graph) for key, name in names.items()}
    origin = {key: term.value for key, term in terms.items() if term}
    repository = repositories.get(record.iris.source(record.source))
    namespace = _NAMESPACES.get(origin.get("mapping", ""))
    if not repository or not namespace or len(origin) < len(names):
        return None
    return {**origin, "repository": repository, "namespace": namespace}
