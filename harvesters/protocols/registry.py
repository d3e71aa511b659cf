"""The registry of protocols: the module of each interface that can be harvested. It defines
``PROTOCOL``.
"""

from __future__ import annotations

from collections.abc import Mapping

from harvesters.lazy_registry import LazyRegistry
from harvesters.protocols.protocol import Protocol

PROTOCOLS: Mapping[str, Protocol] = LazyRegistry(
    {
        "oai-pmh": "harvesters.protocols.oai",
        "ckan": "harvesters.protocols.ckan",
        "json": "harvesters.protocols.json_api",
        "csv": "harvesters.protocols.csv_file",
        "spreadsheet": "harvesters.protocols.spreadsheet",
        "iati": "harvesters.protocols.iati",
        "pod": "harvesters.protocols.pod",
        "csw": "harvesters.protocols.csw",
        "files": "harvesters.protocols.files",
        "ldes": "harvesters.protocols.ldes",
        "stocktake": "harvesters.protocols.peer",
        "activitystreams": "harvesters.protocols.activitystreams",
        "resourcesync": "harvesters.protocols.resourcesync",
        "web": "harvesters.protocols.web",
        "sparql": "harvesters.protocols.sparql",
        "feed": "harvesters.protocols.feed",
        "ical": "harvesters.protocols.ical",
        "rdf": "harvesters.protocols.rdf",
        "html": "harvesters.protocols.html_list",
        "submissions": "harvesters.protocols.submissions",
    },
    "PROTOCOL",
    "stocktake.protocols",
    Protocol,
)
