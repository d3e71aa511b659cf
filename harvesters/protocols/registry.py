"""The registry of protocols: one entry for each interface that can be harvested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.option_schema import Option
from harvesters.page_model import Pages, Payload
from harvesters.protocols import activitystreams, html_list, pod
from harvesters.protocols.ckan import harvest as ckan
from harvesters.protocols.csw import harvest as csw
from harvesters.protocols.feed import harvest as feed
from harvesters.protocols.files import harvest as file_folder
from harvesters.protocols.files import payload as file_payload
from harvesters.protocols.iati import harvest as iati
from harvesters.protocols.ical import harvest as ical
from harvesters.protocols.json_api import harvest as json_pages
from harvesters.protocols.ldes import harvest as ldes
from harvesters.protocols.oai import harvest as oai_pmh
from harvesters.protocols.peer import harvest as sibling
from harvesters.protocols.rdf import harvest as rdf
from harvesters.protocols.resourcesync import harvest as resourcesync
from harvesters.protocols.sparql import harvest as sparql
from harvesters.protocols.tables import csv_file as csv_table
from harvesters.protocols.tables import spreadsheet
from harvesters.protocols.web import harvest as web
from harvesters.source import Source

__all__ = ["PROTOCOLS", "Option", "Protocol"]


def _no_check(source: Source) -> None:
    """Accept any options whose types are right."""


def _always(source: Source) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Protocol:
    """An interface that can be harvested.

    *collect* yields pages of records, *payload_type* is what these hold. *incremental*: the
    protocol can ask for changes alone; *is_incremental* returns whether this source can too. *check*
    raises SourceDefinitionError if options contradict each other. *payload_type_for* returns the
    payload type where the source definition decides.
    """

    collect: Callable[..., Pages[Any]]
    payload_type: Payload
    options: Mapping[str, Option]
    incremental: bool
    check: Callable[[Source], None] = _no_check
    is_incremental: Callable[[Source], bool] = _always
    payload_type_for: Callable[[Source], Payload] | None = None


PROTOCOLS: Mapping[str, Protocol] = {
    "oai-pmh": Protocol(oai_pmh.collect, Payload.XML, oai_pmh.OPTIONS, incremental=True, payload_type_for=oai_pmh.payload_type),
    "ckan": Protocol(ckan.collect, Payload.ROW, ckan.OPTIONS, incremental=True, is_incremental=ckan.is_search),
    "json": Protocol(
        json_pages.collect,
        Payload.ROW,
        json_pages.OPTIONS,
        incremental=True,
        check=json_pages.check,
        is_incremental=json_pages.is_incremental,
    ),
    "csv": Protocol(csv_table.collect, Payload.ROW, csv_table.OPTIONS, incremental=False, check=csv_table.check),
    "spreadsheet": Protocol(spreadsheet.collect, Payload.ROW, spreadsheet.OPTIONS, incremental=False, check=spreadsheet.check),
    "iati": Protocol(iati.collect, Payload.XML, iati.OPTIONS, incremental=True, is_incremental=iati.is_incremental),
    "pod": Protocol(pod.collect, Payload.GRAPH, pod.OPTIONS, incremental=False),
    "csw": Protocol(csw.collect, Payload.XML, csw.OPTIONS, incremental=True, check=csw.check, is_incremental=csw.is_incremental),
    "files": Protocol(
        file_folder.collect,
        Payload.ROW,
        file_folder.OPTIONS,
        incremental=True,
        check=file_folder.check,
        payload_type_for=file_payload.payload_type,
    ),
    "ldes": Protocol(ldes.collect, Payload.GRAPH, ldes.OPTIONS, incremental=True, check=ldes.check),
    "stocktake": Protocol(sibling.collect, Payload.GRAPH, sibling.OPTIONS, incremental=True),
    "activitystreams": Protocol(
        activitystreams.collect,
        Payload.ROW,
        activitystreams.OPTIONS,
        incremental=True,
        check=activitystreams.check,
        payload_type_for=activitystreams.payload_type,
    ),
    "resourcesync": Protocol(
        resourcesync.collect,
        Payload.ROW,
        resourcesync.OPTIONS,
        incremental=True,
        check=resourcesync.check,
        payload_type_for=file_payload.payload_type,
    ),
    "web": Protocol(web.collect, Payload.GRAPH, web.OPTIONS, incremental=True, check=web.check),
    "sparql": Protocol(
        sparql.collect, Payload.GRAPH, sparql.OPTIONS, incremental=True, check=sparql.check, is_incremental=sparql.is_incremental
    ),
    "feed": Protocol(feed.collect, Payload.ROW, feed.OPTIONS, incremental=True),
    "ical": Protocol(ical.collect, Payload.ROW, ical.OPTIONS, incremental=False, check=ical.check),
    "rdf": Protocol(rdf.collect, Payload.GRAPH, rdf.OPTIONS, incremental=False, check=rdf.check),
    "html": Protocol(html_list.collect, Payload.XML, html_list.OPTIONS, incremental=False, check=html_list.check),
}
