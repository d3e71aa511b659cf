"""Hold JSON-LD contexts locally, so that harvested documents cause no requests.

They were written for this project from each vocabulary's documentation; they contain what records
of registries need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

# The addresses of a context, without scheme and closing slash, and the file with a copy of it.
_OURS: Mapping[str, str] = {
    "schema.org": "schema",
    "www.schema.org": "schema",
    "schema.org/docs/jsonldcontext.json": "schema",
    "schema.org/docs/jsonldcontext.jsonld": "schema",
    "project-open-data.cio.gov/v1.1/schema/catalog.jsonld": "pod",
    "project-open-data.cio.gov/v1.1/schema/data.jsonld": "pod",
    "www.w3.org/ns/hydra/core": "hydra",
    "www.w3.org/ns/hydra/context.jsonld": "hydra",
}

# gives the context at an address; raises LookupError where there is none
Find = Callable[[str], Any]


@cache
def _read(name: str) -> Any:
    return json.loads(
        files("harvesters.payloads.contexts").joinpath(f"{name}.jsonld").read_text(encoding="utf-8")
    )["@context"]


def builtin_context(address: str) -> Any:
    """Return the built-in context for *address*; raises LookupError if there is none.


    >>> builtin_context("https://schema.org/")["@vocab"]
    'http://schema.org/'
    """
    return _read(_OURS[address.partition("://")[2].rstrip("/").lower()])


def inline_contexts(value: Any, find: Find) -> Any:
    """Replace references to contexts by the contexts, anywhere in a document.

    Raises LookupError, with the address, if *find* has none. The document must not be nested deeper
    than Python's recursion limit (1000), which JSON parsed by orjson is not.
    """
    if isinstance(value, list):
        return [inline_contexts(item, find) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _context(element, find) if name == "@context" else inline_contexts(element, find)
        for name, element in value.items()
    }


def _context(value: Any, find: Find) -> Any:
    if isinstance(value, str):
        return find(value)
    if isinstance(value, list):
        return [_context(item, find) for item in value]
    return inline_contexts(value, find)  # a term of it may have a context of its own


def has_remote_context(value: Any) -> bool:
    """Return whether a document references a context by its address."""
    if isinstance(value, list):
        return any(map(has_remote_context, value))
    if not isinstance(value, dict):
        return False
    return any(
        _named(element) if name == "@context" else has_remote_context(element)
        for name, element in value.items()
    )


def _named(value: Any) -> bool:
    return isinstance(value, str) or (
        any(map(_named, value)) if isinstance(value, list) else has_remote_context(value)
    )
