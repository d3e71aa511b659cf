"""The table of mappings: a row for each schema in which registries describe what they hold."""

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

__all__ = ["MAPPINGS", "Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A schema. *prepare* gives the function that reads a source's records, *reads* the payloads that it takes.

    *kind* is what its records become: the option ``kind`` or the field of that name may say otherwise.
    """

    prepare: Callable[[Source, Crosswalks], Callable[[Record[Any]], Resource]]
    reads: frozenset[Payload]
    kind: str = "initiative"
    options: Mapping[str, Option] = field(default_factory=dict)


_XML, _ROW, _GRAPH = frozenset({Payload.XML}), frozenset({Payload.ROW}), frozenset({Payload.GRAPH})

MAPPINGS: Mapping[str, Reader] = {
    "oai_dc": Reader(oai_dc.reader, _XML, options=oai_dc.OPTIONS),
    "mods": Reader(mods.reader, _XML, kind="document", options=mods.OPTIONS),
    "datacite": Reader(datacite.reader, _XML, kind="document", options=datacite.OPTIONS),
    "ckan_package": Reader(ckan_package.reader, _ROW, options=ckan_package.OPTIONS),
    "dpg_nominee": Reader(dpg_nominee.reader, _ROW, options=dpg_nominee.OPTIONS),
    "iati_activity": Reader(iati_activity.reader, _XML, options=iati_activity.OPTIONS),
    "dcat": Reader(dcat.reader, _GRAPH, kind="document", options=dcat.OPTIONS),
    "schema_org": Reader(schema_org.reader, _GRAPH, options=schema_org.OPTIONS),
    "stocktake_record": Reader(stocktake_record.reader, _GRAPH, options=stocktake_record.OPTIONS),
    "feed_entry": Reader(feed_entry.reader, _ROW, kind="post", options=feed_entry.OPTIONS),
    "ical_event": Reader(ical_event.reader, _ROW, kind="event", options=ical_event.OPTIONS),
    "fields": Reader(fields.reader, _XML | _ROW | _GRAPH, options=fields.OPTIONS),
}
