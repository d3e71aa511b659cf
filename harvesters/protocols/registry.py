"""The table of protocols: a row for each way to ask a registry."""

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


def _nothing(source: Source) -> None:
    """Check nothing beyond the types of the options."""


def _always(source: Source) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to ask. *incremental*: it can ask what changed since; *tells*: so can the registry of this card.

    *check* raises SourceDefinitionError on options that do not fit together; *chooses* tells what it brings where the card decides that.
    """

    collect: Callable[..., Pages[Any]]
    brings: Payload
    options: Mapping[str, Option]
    incremental: bool
    check: Callable[[Source], None] = _nothing
    tells: Callable[[Source], bool] = _always
    chooses: Callable[[Source], Payload] | None = None


PROTOCOLS: Mapping[str, Protocol] = {
    "oai-pmh": Protocol(oai_pmh.collect, Payload.XML, oai_pmh.OPTIONS, incremental=True, chooses=oai_pmh.brings),
    "ckan": Protocol(ckan.collect, Payload.ROW, ckan.OPTIONS, incremental=True, tells=ckan.searched),
    "json": Protocol(json_pages.collect, Payload.ROW, json_pages.OPTIONS, incremental=True, check=json_pages.check, tells=json_pages.dated),
    "csv": Protocol(csv_table.collect, Payload.ROW, csv_table.OPTIONS, incremental=False, check=csv_table.check),
    "spreadsheet": Protocol(spreadsheet.collect, Payload.ROW, spreadsheet.OPTIONS, incremental=False, check=spreadsheet.check),
    "iati": Protocol(iati.collect, Payload.XML, iati.OPTIONS, incremental=True, tells=iati.tells),
    "pod": Protocol(pod.collect, Payload.GRAPH, pod.OPTIONS, incremental=False),
    "csw": Protocol(csw.collect, Payload.XML, csw.OPTIONS, incremental=True, check=csw.check, tells=csw.dated),
    "files": Protocol(
        file_folder.collect, Payload.ROW, file_folder.OPTIONS, incremental=True, check=file_folder.check, chooses=file_payload.brings
    ),
    "ldes": Protocol(ldes.collect, Payload.GRAPH, ldes.OPTIONS, incremental=True, check=ldes.check),
    "stocktake": Protocol(sibling.collect, Payload.GRAPH, sibling.OPTIONS, incremental=True),
    "activitystreams": Protocol(
        activitystreams.collect,
        Payload.ROW,
        activitystreams.OPTIONS,
        incremental=True,
        check=activitystreams.check,
        chooses=activitystreams.brings,
    ),
    "resourcesync": Protocol(
        resourcesync.collect, Payload.ROW, resourcesync.OPTIONS, incremental=True, check=resourcesync.check, chooses=file_payload.brings
    ),
    "web": Protocol(web.collect, Payload.GRAPH, web.OPTIONS, incremental=True, check=web.check),
    "sparql": Protocol(sparql.collect, Payload.GRAPH, sparql.OPTIONS, incremental=True, check=sparql.check, tells=sparql.told_changes),
    "feed": Protocol(feed.collect, Payload.ROW, feed.OPTIONS, incremental=True),
    "ical": Protocol(ical.collect, Payload.ROW, ical.OPTIONS, incremental=False, check=ical.check),
    "rdf": Protocol(rdf.collect, Payload.GRAPH, rdf.OPTIONS, incremental=False, check=rdf.check),
    "html": Protocol(html_list.collect, Payload.XML, html_list.OPTIONS, incremental=False, check=html_list.check),
}
