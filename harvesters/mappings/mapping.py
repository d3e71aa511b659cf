"""What the registry of mappings knows of each mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harvesters.option_schema import Option
from harvesters.page_model import Payload, Record
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Resource


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """A metadata schema. *prepare* returns the function that maps a source's records; *accepts* are
    the payload types that it reads.

    *kind* is the class of its records, unless the option ``kind`` or the field of that name says
    otherwise.
    """

    prepare: Callable[[Source, Crosswalks], Callable[[Record[Any]], Resource]]
    accepts: frozenset[Payload]
    kind: str = "initiative"
    options: Mapping[str, Option] = field(default_factory=dict)
