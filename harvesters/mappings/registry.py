"""The registry of mappings: one entry for each metadata schema that registries use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harvesters.mappings import (
    ckan_package,
    datacite,
    dcat,
    dpg_nominee,
    feed_entry,
    fields,
    iati_activity,
    ical_event,
    mods,
    oai_dc,
    schema_org,
    stocktake_record,
)
from harvesters.option_schema import Option
from harvesters.page_model import Payload, Record
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Resource

__all__ = ["MAPPINGS", "RecordMapping"]


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """A metadata schema. *prepare* returns the function that maps a source's records; *accepts* are the payload types that it reads.

    *kind* is the class of its records, unless the option ``kind`` or the field of that name says
    otherwise.
    """

    prepare: Callable[[Source, Crosswalks], Callable[[Record[Any]], Resource]]
    accepts: frozenset[Payload]
    kind: str = "initiative"
    options: Mapping[str, Option] = field(default_factory=dict)


_XML, _ROW, _GRAPH = frozenset({Payload.XML}), frozenset({Payload.ROW}), frozenset({Payload.GRAPH})

MAPPINGS: Mapping[str, RecordMapping] = {
    "oai_dc": RecordMapping(oai_dc.build_mapper, _XML, options=oai_dc.OPTIONS),
    "mods": RecordMapping(mods.build_mapper, _XML, kind="document", options=mods.OPTIONS),
    "datacite": RecordMapping(datacite.build_mapper, _XML, kind="document", options=datacite.OPTIONS),
    "ckan_package": RecordMapping(ckan_package.build_mapper, _ROW, options=ckan_package.OPTIONS),
    "dpg_nominee": RecordMapping(dpg_nominee.build_mapper, _ROW, options=dpg_nominee.OPTIONS),
    "iati_activity": RecordMapping(iati_activity.build_mapper, _XML, options=iati_activity.OPTIONS),
    "dcat": RecordMapping(dcat.build_mapper, _GRAPH, kind="document", options=dcat.OPTIONS),
    "schema_org": RecordMapping(schema_org.build_mapper, _GRAPH, options=schema_org.OPTIONS),
    "stocktake_record": RecordMapping(stocktake_record.build_mapper, _GRAPH, options=stocktake_record.OPTIONS),
    "feed_entry": RecordMapping(feed_entry.build_mapper, _ROW, kind="post", options=feed_entry.OPTIONS),
    "ical_event": RecordMapping(ical_event.build_mapper, _ROW, kind="event", options=ical_event.OPTIONS),
    "fields": RecordMapping(fields.build_mapper, _XML | _ROW | _GRAPH, options=fields.OPTIONS),
}
