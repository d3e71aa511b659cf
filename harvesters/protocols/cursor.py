"""Cursors: all that a protocol must know to go on after a page, as a line of JSON with its version."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

import orjson

from harvesters.parsing import parser_errors

VERSION = 1  # raise it when a cursor of before can no longer be read: its list is then begun anew
S = TypeVar("S")


def write(spot: Any) -> str:
    """Write a frozen dataclass as a cursor; what is as by default is left out.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Spot:
    ...     start: int = 0
    ...     sizes: tuple[int, ...] = ()
    >>> write(Spot(start=3))
    '{"v":1,"start":3}'
    >>> read(Spot, '{"v":1,"sizes":[2,1]}')
    Spot(start=0, sizes=(2, 1))
    >>> read(Spot, "300") is None
    True
    """
    told = {field.name: getattr(spot, field.name) for field in fields(spot) if getattr(spot, field.name) != field.default}
    with parser_errors("the place in a list cannot be written down"):  # as a number above 64 bits, or half of a surrogate pair
        return orjson.dumps({"v": VERSION, **told}).decode()


def read(kind: type[S], text: str | None) -> S | None:
    """Read a cursor; None where there is none, or one of another version, which only a list begun anew can make good."""
    try:
        told = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or told.pop("v", None) != VERSION:
        return None
    known = {field.name: field.default is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    if not set(told) <= set(known) or any(needed and name not in told for name, needed in known.items()):
        return None
    return kind(**{name: _frozen(value) for name, value in told.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
