"""Open the HTTP client of the harvesters with some settings, the others by default."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx

from harvesters.archive import list_responses
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import SourcePosition
from journal.store import Store

_NETWORK = {field.name for field in fields(NetworkSettings)}


def fetch_with(transport: httpx.BaseTransport, **settings: Any) -> Fetch:
    """Return a client that uses *transport*; *settings* go to ``NetworkSettings`` and ``Fetch``."""
    network = {name: settings.pop(name) for name in _NETWORK & {*settings}}
    return Fetch(NetworkSettings(transport=transport, **network), **settings)


def read_body(folder: Path, position: SourcePosition, store: Store | None = None) -> bytes:
    """Return the body of the archived response at *position*."""
    responses = list_responses(folder, position.file, store)
    return next(item for item in responses if item.position == position).open().read()
