"""The registry of mappings: the module of each metadata schema that registries use. It defines
``MAPPING``.
"""

from __future__ import annotations

from collections.abc import Mapping

from harvesters.lazy_registry import LazyRegistry
from harvesters.mappings.mapping import RecordMapping

MAPPINGS: Mapping[str, RecordMapping] = LazyRegistry(
    {
        "oai_dc": "harvesters.mappings.oai_dc",
        "mods": "harvesters.mappings.mods",
        "datacite": "harvesters.mappings.datacite",
        "ckan_package": "harvesters.mappings.ckan_package",
        "dpg_nominee": "harvesters.mappings.dpg_nominee",
        "iati_activity": "harvesters.mappings.iati_activity",
        "iso_19115": "harvesters.mappings.iso_19115",
        "dif": "harvesters.mappings.dif",
        "cerif": "harvesters.mappings.cerif",
        "dcat": "harvesters.mappings.dcat",
        "schema_org": "harvesters.mappings.schema_org",
        "stocktake_record": "harvesters.mappings.stocktake_record",
        "feed_entry": "harvesters.mappings.feed_entry",
        "ical_event": "harvesters.mappings.ical_event",
        "fields": "harvesters.mappings.fields",
        "submission": "harvesters.mappings.submission",
    },
    "MAPPING",
    "stocktake.mappings",
    RecordMapping,
)
