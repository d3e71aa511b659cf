"""What commands and interfaces promise, without prose: each command with its options, each path of
an OpenAPI description with its parameters, statuses and schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import click
import httpx
from typer.main import get_command

from stocktake import app

DESCRIPTIONS = ("/openapi.json", "/admin/openapi.json", "/submissions/openapi.json")
SCHEMA = (
    "type", "format", "enum", "const", "pattern", "minimum", "maximum", "maxLength", "default",
)  # fmt: skip


def commands() -> Iterator[str]:
    """Yield each command with its arguments and options, by their names."""
    for words, command in _walk(get_command(app), ("stocktake",)):
        yield f"=== {' '.join(words)}\n"
        lines = [_parameter(parameter) for parameter in command.params]
        options = [line for line in lines if line.startswith("option")]
        # The order of arguments matters, that of options does not.
        yield from (f"{line}\n" for line in lines if line not in options)
        yield from (f"{line}\n" for line in sorted(options))
        yield "\n"


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    # Commands are imported late.
    command = command.load() if hasattr(command, "load") else command
    yield words, command
    if hasattr(command, "list_commands"):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            yield from _walk(command.get_command(context, name), (*words, name))


def _parameter(parameter: Any) -> str:
    known = {
        "type": _type(parameter.type_descriptor.annotation),
        "min": parameter.min,
        "max": parameter.max,
        "default": None if callable(parameter.default) else _plain(parameter.default),
        "environment": parameter.envvar,
        "values": None if parameter.nargs == 1 else parameter.nargs,
    }
    flags = [
        name
        for name in ("required", "multiple", "is_flag", "hidden")
        if getattr(parameter, name, False)
    ]
    names = ", ".join(sorted([*parameter.opts, *parameter.secondary_opts]))
    rest = [f"{name}={value}" for name, value in known.items() if value not in (None, "", [])]
    return " ".join([parameter.param_type_name, names, *flags, *rest])


def _type(annotation: Any) -> str:
    """Return the name of a type, or its choices if it is an Enum."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(item.value) for item in annotation)
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _plain(value: object) -> object:
    """Return a default as text; None for a flag that is not set, and without a default."""
    if value in (False, None, ()) or "UNSET" in repr(value):
        return None
    return str(getattr(value, "value", value))


def apis(client: httpx.Client) -> Iterator[str]:
    """Yield what the OpenAPI descriptions say of each path, and each schema."""
    for address in DESCRIPTIONS:
        description = client.get(address).json()
        for path, operations in sorted(description["paths"].items()):
            for method, operation in sorted(operations.items()):
                yield f"=== {address}: {method.upper()} {path}\n"
                yield from (f"{line}\n" for line in _operation(operation))
                yield "\n"
        schemas = description.get("components", {}).get("schemas", {})
        for name, schema in sorted(schemas.items()):
            yield f"=== {address}: schema {name}\n"
            yield from (f"{line}\n" for line in _members(schema))
            yield "\n"


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    for item in operation.get("parameters", ()):
        required = " required" if item.get("required") else ""
        yield f"{item['in']} {item['name']}{required}: {_schema(item.get('schema', {}))}"
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"body {media}: {_schema(body.get('schema', {}))}"
    for status, response in sorted(operation.get("responses", {}).items()):
        contents = [
            f"{media} {_schema(body.get('schema', {}))}".strip()
            for media, body in response.get("content", {}).items()
        ]
        headers = [f"header {name}" for name in sorted(response.get("headers", {}))]
        yield f"{status}: {'; '.join([*contents, *headers])}"


def _members(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield _schema({key: value for key, value in schema.items() if key != "properties"})
    for name, member in schema.get("properties", {}).items():
        yield f"{name}{' required' if name in required else ''}: {_schema(member)}"


def _schema(schema: Any) -> str:
    if not isinstance(schema, dict):
        return str(schema)
    parts = [f"{key}={schema[key]}" for key in SCHEMA if key in schema and key != "type"]
    if "type" in schema:
        parts.insert(0, str(schema["type"]))
    if "$ref" in schema:
        parts.append(schema["$ref"].rpartition("/")[2])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            parts.append(f"{key}({' | '.join(_schema(item) for item in schema[key])})")
    if "items" in schema:
        parts.append(f"of ({_schema(schema['items'])})")
    if "properties" in schema:
        parts.append("{" + ", ".join(_members(schema)).removeprefix("object, ") + "}")
    if isinstance(schema.get("additionalProperties"), dict):
        parts.append(f"values ({_schema(schema['additionalProperties'])})")
    return " ".join(parts)
