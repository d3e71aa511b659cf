"""Hold JSON-LD contexts locally, so that harvested documents cause no requests.

They were written for this project from each vocabulary's documentation; they contain what records
of registries need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from graphlib import CycleError, TopologicalSorter
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

# A function that returns the context at an address, or raises LookupError.
Find = Callable[[str], Any]


@cache
def _read(name: str) -> Any:
    return json.loads(
        files("harvesters.payloads.contexts").joinpath(f"{name}.jsonld").read_text(encoding="utf-8")
    )["@context"]


def builtin_context(address: str) -> Any:
    """Return the built-in context for *address*. Raise LookupError if there is none.

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
    return inline_contexts(value, find)  # A term of a context may have its own context.


# How many terms may be defined each by the next, and how deep contexts may be nested: pyoxigraph
# overflows the stack at some thousand, and real documents have 3.
_MAX_CHAIN, _MAX_NESTING = 100, 10
# Definitions of terms that a document may process, and more for each byte; each takes 4 µs. A large
# catalogue whose terms have contexts of 100 terms needs half as many.
_DEFINITIONS, _DEFINITIONS_PER_BYTE = 100_000, 5


def check_contexts(content: bytes) -> None:
    """Raise ValueError if the contexts of a JSON-LD document would overflow its parser's stack, or
    take far more time than documents of this size need.

    A term may be defined by another one, and the context of a term is processed again for each of
    its values (https://www.w3.org/TR/json-ld11/#scoped-contexts). A node with a context of its own
    copies the terms around it, which takes a tenth of the time.
    """
    document = json.loads(content, object_pairs_hook=_unique_context, parse_int=str)
    values, contexts = _count_values(document)
    terms = {term for context in contexts for term in context}
    scoped = [
        sum(map(len, _count_values(definition)[1]))
        for context in contexts
        for definition in context.values()
        if isinstance(definition, dict) and "@context" in definition
    ]
    for context in contexts:
        _check_chain(context)
    work = max(scoped, default=0) * values + len(terms) * len(contexts) // 10
    if work > _DEFINITIONS + _DEFINITIONS_PER_BYTE * len(content):
        raise ValueError(f"its contexts have {work:,} definitions of terms to process")


def _unique_context(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raise ValueError at a second context, which would replace the first here."""
    members = dict(pairs)
    if len(members) < len(pairs) and sum(name == "@context" for name, _ in pairs) > 1:
        raise ValueError("@context is defined twice")
    return members


def _count_values(document: Any) -> tuple[int, list[dict[str, Any]]]:
    """Return the number of values of a document, and its contexts. Raise ValueError if these are
    nested too deeply.
    """
    count, contexts = 0, []
    stack = [(document, False, 0)]
    while stack:
        value, is_context, nesting = stack.pop()
        count += 1
        if isinstance(value, list):
            stack.extend((item, is_context, nesting) for item in value)
        elif isinstance(value, dict):
            if is_context:
                contexts.append(value)
                nesting += 1
            if nesting > _MAX_NESTING:
                raise ValueError(f"its contexts are nested more than {_MAX_NESTING} deep")
            stack.extend((element, name == "@context", nesting) for name, element in value.items())
    return count, contexts


def _check_chain(context: Mapping[str, Any]) -> None:
    """Raise ValueError if too many terms are defined each by the next, or some by themselves."""
    order = TopologicalSorter({term: _defined_by(context, term) for term in context})
    length = 0
    with suppress(CycleError):
        order.prepare()
        while order.is_active() and length < _MAX_CHAIN:
            order.done(*order.get_ready())
            length += 1
        if not order.is_active():
            return
    raise ValueError(f"terms of its context are defined by each other more than {_MAX_CHAIN} deep")


def _defined_by(context: Mapping[str, Any], term: str) -> set[str]:
    """Return the other terms of a context that the definition of *term* names."""
    definition = context[term]
    members = definition if isinstance(definition, dict) else {"@id": definition}
    values = (term, *map(members.get, ("@id", "@type", "@reverse", "@index")))
    names = [value for value in values if isinstance(value, str)]
    others = {other for name in names for other in (name, name.partition(":")[0])}
    return (others & context.keys()) - {term}
