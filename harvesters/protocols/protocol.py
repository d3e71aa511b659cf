"""What the registry of protocols knows of each protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harvesters.options import Options
from harvesters.page_model import Pages, Payload
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Protocol:
    """An interface that can be harvested.

    *collect* yields pages of records, *payload_type* is what these hold. *incremental*: the
    protocol can ask for changes alone; *is_incremental* returns whether this source can too.
    *check* raises SourceDefinitionError if options contradict each other. *payload_type_for*
    returns the payload type where the source definition decides.
    """

    collect: Callable[..., Pages[Any]]
    payload_type: Payload
    options: type[Options]
    incremental: bool
    check: Callable[[Source], None] = lambda _: None
    is_incremental: Callable[[Source], bool] = lambda _: True
    payload_type_for: Callable[[Source], Payload] | None = None
