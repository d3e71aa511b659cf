"""Read batches of queries and of data extension, and name what is wrong in them.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/ (sections
4.1, 4.3 and 7.3). The body of an error is not specified; too many queries are answered with 413, as
the manifest's ``batchSize`` announces.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from publisher.apis.reconcile.model import PROPERTIES, TYPES
from web.problems import HTTPProblem

BATCH_SIZE = 1_000  # queries of a batch, and entities of a data extension
MAX_CANDIDATES = 50
DEFAULT_CANDIDATES = 5
MAX_VALUES = 20  # values of the properties of one query
_QUERY_FIELDS = {"query", "type", "limit", "properties", "type_strict"}
_STRICTNESS = ("any", "should", "all")


@dataclass(frozen=True, slots=True)
class NameQuery:
    """A query: *text* to match, "" for none; the *types* of candidates; values by property that
    candidates should have.
    """

    text: str
    types: tuple[str, ...]
    limit: int
    properties: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Extension:
    """A data extension query: the values of *properties* for the entities *ids*."""

    ids: tuple[str, ...]
    properties: tuple[str, ...]


def parse_queries(text: str) -> dict[str, NameQuery]:
    """Return the queries of a batch by their keys; raises HTTPProblem: 400 if it is not valid, 413
    if it has too many.
    """
    batch = _parse_object(text, "queries")
    if len(batch) > BATCH_SIZE:
        raise HTTPProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"queries has {len(batch)} queries; send at most {BATCH_SIZE} in a batch, as batchSize of the manifest says",
        )
    return {key: _parse_query(key, value) for key, value in batch.items()}


def parse_extension(text: str) -> Extension:
    """Return a data extension query; raises HTTPProblem: 400 if it is not valid, 413 if it has too
    many entities.
    """
    sent = _parse_object(text, "extend")
    ids, properties = sent.get("ids"), sent.get("properties")
    if not isinstance(ids, list) or not all(isinstance(item, str) and item for item in ids):
        raise _invalid('extend needs "ids": a list of identifiers')
    if not isinstance(properties, list) or not all(
        isinstance(item, dict) and isinstance(item.get("id"), str) for item in properties
    ):
        raise _invalid('extend needs "properties": a list of objects with an "id"')
    if len(ids) > BATCH_SIZE:
        raise HTTPProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"extend has {len(ids)} ids; send at most {BATCH_SIZE} at a time",
        )
    return Extension(
        tuple(dict.fromkeys(ids)),
        tuple(dict.fromkeys(check_property(item["id"], "extend") for item in properties)),
    )


def check_type(name: object, where: str) -> str:
    """Return *name* if it is the identifier of a type; raises HTTPProblem (400) that names the
    types.
    """
    if name not in TYPES:
        raise _invalid(
            f"{where}: unknown type {str(name)[:80]!r}; the types are {', '.join(TYPES)}"
        )
    return str(name)


def check_property(name: object, where: str) -> str:
    """Return *name* if it is the identifier of a property; raises HTTPProblem (400) that names the
    properties.
    """
    if name not in PROPERTIES:
        raise _invalid(
            f"{where}: unknown property {str(name)[:80]!r}; the properties are {', '.join(PROPERTIES)}"
        )
    return str(name)


def _parse_object(text: str, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"{name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise _invalid(f"{name} must be a JSON object")
    return value


def _parse_query(key: str, value: object) -> NameQuery:
    where = f"query {key[:80]!r}"
    if not isinstance(value, dict):
        raise _invalid(f"{where} must be an object")
    if unknown := set(value) - _QUERY_FIELDS:
        raise _invalid(
            f"{where}: unknown field {min(unknown)[:80]!r}; the fields are {', '.join(sorted(_QUERY_FIELDS))}"
        )
    text, properties = value.get("query", ""), value.get("properties", [])
    if not isinstance(text, str):
        raise _invalid(f'{where}: "query" must be a string')
    if "query" not in value and not properties:
        raise _invalid(f'{where} needs a "query" or "properties"')
    if value.get("type_strict", "any") not in _STRICTNESS:
        raise _invalid(f'{where}: "type_strict" must be one of {", ".join(_STRICTNESS)}')
    named = value.get("type", [])
    types = tuple(
        dict.fromkeys(
            check_type(name, where) for name in (named if isinstance(named, list) else [named])
        )
    )
    return NameQuery(
        text,
        types or TYPES,
        _parse_limit(value.get("limit", DEFAULT_CANDIDATES), where),
        _parse_values(properties, where),
    )


def _parse_limit(limit: object, where: str) -> int:
    if (
        isinstance(limit, bool)
        or not isinstance(limit, int | float)
        or limit < 1
        or int(limit) != limit
    ):
        raise _invalid(f'{where}: "limit" must be a positive integer')
    return min(int(limit), MAX_CANDIDATES)


def _parse_values(properties: object, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(properties, list):
        raise _invalid(f'{where}: "properties" must be a list')
    values: dict[str, tuple[str, ...]] = {}
    for item in properties:
        if not isinstance(item, dict) or "pid" not in item or "v" not in item:
            raise _invalid(f'{where}: each of "properties" needs "pid" and "v"')
        name, sent = check_property(item["pid"], where), item["v"]
        texts = tuple(
            _value_text(one, where) for one in (sent if isinstance(sent, list) else [sent])
        )
        values[name] = (*values.get(name, ()), *texts)
    if sum(map(len, values.values())) > MAX_VALUES:
        raise _invalid(f"{where}: at most {MAX_VALUES} values of properties")
    return tuple(values.items())


def _value_text(value: object, where: str) -> str:
    """Return a property value as text: the identifier of an entity, else the value itself."""
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return str(value["id"])
    if isinstance(value, str | int | float):
        return str(value)
    raise _invalid(
        f'{where}: a value of a property must be a string, a number, a boolean or an object with an "id"'
    )


def _invalid(detail: str) -> HTTPProblem:
    return HTTPProblem(HTTPStatus.BAD_REQUEST, detail)
