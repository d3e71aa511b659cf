"""JSON Schemas of what a reconciliation service returns, written from the text of the
specification.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/ sections
3.1 (manifest), 4.2 (candidates), 6.3 and 6.5 (suggestions and flyout), 7.2 (property proposals) and
7.4 (data extension). The specification's own schemas allow any other member of an object; these
allow none where all that we send is known.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
WEB: Schema = {"type": "string", "pattern": "^https?://"}
TEMPLATE: Schema = {"type": "string", "pattern": r"^https?://.*\{\{id\}\}"}


def closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


NAMED = closed({"id": TEXT, "name": TEXT})
_SUGGEST = closed(
    {
        "service_url": WEB,
        "service_path": {"type": "string", "pattern": "^/"},
        "flyout_service_url": WEB,
        "flyout_service_path": {"type": "string", "pattern": r"^/.*\$\{id\}"},
    }
)
MANIFEST = closed(
    {
        "versions": {"type": "array", "contains": {"const": "0.2"}, "items": TEXT},
        "name": TEXT,
        "identifierSpace": WEB,
        "schemaSpace": WEB,
        "defaultTypes": {"type": "array", "items": NAMED, "uniqueItems": True},
        "serviceVersion": TEXT,
        "logo": WEB,
        "view": closed({"url": TEMPLATE}),
        "preview": closed(
            {
                "url": TEMPLATE,
                "width": {"type": "integer", "minimum": 1},
                "height": {"type": "integer", "minimum": 1},
            }
        ),
        "suggest": closed({"entity": _SUGGEST, "type": _SUGGEST, "property": _SUGGEST}),
        "extend": closed(
            {
                "propose_properties": closed({"service_url": WEB, "service_path": TEXT}),
                "property_settings": {"type": "array"},
            }
        ),
        "batchSize": {"type": "integer", "minimum": 1},
    },
    {"documentation": WEB},
)
_CANDIDATE = closed(
    {
        "id": TEXT, "name": TEXT, "description": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 100},
        "features": many(closed({"id": TEXT, "value": {"type": ["number", "boolean"]}})), "match": {"type": "boolean"},
        "type": many(NAMED),
    }
)  # fmt: skip
RESULTS: Schema = {"type": "object", "additionalProperties": closed({"result": many(_CANDIDATE)})}
ENTITIES = closed(
    {
        "result": many(closed({"id": TEXT, "name": TEXT, "description": {"type": "string"}, "notable": many(NAMED)})),
    }
)  # fmt: skip
SUGGESTIONS = closed({"result": many(NAMED)})
FLYOUT = closed({"id": TEXT, "html": TEXT})
PROPOSALS = closed(
    {"properties": many(NAMED), "type": {"type": "string"}, "limit": {"type": "integer"}}
)
_VALUE: Schema = {
    "oneOf": [closed({"id": TEXT, "name": TEXT}), closed({"str": {"type": "string"}}), closed({"int": {"type": "integer"}})],
}  # fmt: skip
EXTENSION = closed(
    {
        "meta": many(closed({"id": TEXT, "name": TEXT}, {"type": NAMED})),
        "rows": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": many(_VALUE)},
        },
    }
)
