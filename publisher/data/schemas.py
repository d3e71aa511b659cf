"""The JSON of responses by name, one table each in ``schemas.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


@cache
def response_schemas() -> dict[str, dict[str, Any]]:
    """Return JSON schemas by name, as the OpenAPI description has them."""
    schemas = tomllib.loads(Path(__file__).with_name("schemas.toml").read_text(encoding="utf-8"))
    for name, schema in schemas.items():
        members, optional = schema["properties"], schema.pop("optional", ())
        for member, value in members.items():
            if "$ref" not in value.get("anyOf", [value])[0]:
                value["title"] = member.replace("_", " ").title()
        schema.update(title=name, type="object")
        if required := [member for member in members if member not in optional]:
            schema["required"] = required
    return schemas
